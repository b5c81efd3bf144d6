in vec3 v_position, v_normal; in vec4 v_tint;
uniform float lip_depth, upper_lip;
out vec4 colour;
void main() {
  vec3 n = normalize(v_normal);
  float depth = smoothstep(3.6, 0.3, lip_depth - v_position.z);
  float below = smoothstep(-0.15, 0.5, upper_lip - v_position.y);
  float seen = mix(0.12, 1.0, depth) * mix(0.45, 1.0, below);
  float diffuse = clamp((dot(n, key_direction) + 0.5) / 1.5, 0.0, 1.0);
  vec3 light = v_tint.rgb * v_tint.rgb * (key_colour * diffuse * 0.85 + ambient(n)) * seen;
  vec3 eye = normalize(eye_point - v_position);
  float gloss = max(dot(n, normalize(eye + key_direction)), 0.0);
  gloss *= gloss; gloss *= gloss; gloss *= gloss; gloss *= gloss;
  light += key_colour * v_tint.a * gloss * gloss * seen;
  colour = shown(light);
}
