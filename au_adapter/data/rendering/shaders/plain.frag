in vec3 v_position, v_normal;
uniform vec3 tint; uniform float gloss, weave;
out vec4 colour;
void main() {
  vec3 n = normalize(v_normal);
  float rib = 1.0 + weave * sin(atan(v_position.x, v_position.z) * 90.0) * 0.12;
  float diffuse = clamp((dot(n, key_direction) + 0.2) / 1.2, 0.0, 1.0);
  vec3 light = tint * tint * rib * (key_colour * diffuse * 0.9 + ambient(n));
  vec3 eye = normalize(eye_point - v_position);
  float spark = max(dot(n, normalize(eye + key_direction)), 0.0);
  light += key_colour * gloss * pow(spark, 30.0);
  colour = shown(light);
}
