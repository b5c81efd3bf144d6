in vec3 v_normal, v_position; in vec2 v_point; in vec2 v_light;
uniform sampler2D paint, relief;
out vec4 colour;
void main() {
  vec4 albedo = texture(paint, v_point);
  vec3 fold = texture(relief, v_point).xyz;
  vec3 n = normalize(v_normal);
  vec3 high = normalize(vec3(0, 1, 0) - n * n.y + vec3(0, 1e-4, 0));
  vec3 wide = cross(high, n);
  vec3 bent = normalize(n - 1.5 * (fold.x * wide + fold.y * high));
  vec3 base = albedo.rgb * albedo.rgb;
  float cosine = dot(bent, key_direction);
  vec3 wrap = vec3(0.30, 0.16, 0.12);
  vec3 diffuse = clamp((cosine + wrap) / (1.0 + wrap), 0.0, 1.0);
  vec3 soft = mix(vec3(v_light.x), sqrt(vec3(v_light.x)), vec3(0.8, 0.3, 0.2));
  float hidden = mix(0.22, 1.0, v_light.y) * (1.0 - 0.55 * clamp(fold.z, 0.0, 1.0));
  vec3 bounce = mix(base * vec3(0.9, 0.45, 0.35), vec3(1.0), hidden);
  vec3 light = base * (key_colour * diffuse * soft * (1.0 - 0.45 * clamp(fold.z, 0.0, 1.0))
             + ambient(bent) * hidden * bounce);
  vec3 eye = normalize(eye_point - v_position);
  vec3 half_way = normalize(eye + key_direction);
  float gloss = max(dot(bent, half_way), 0.0);
  float g4 = gloss * gloss; g4 *= g4; float g16 = g4 * g4; g16 *= g16;
  float edge = 1.0 - max(dot(n, eye), 0.0); edge *= edge; edge *= edge;
  float shine = albedo.a * (0.05 * g16 + 0.10 * g16 * g16 * g4) * v_light.x;
  light += key_colour * shine * 1.3 + ambient_top * edge * (0.10 + rim * 0.35) * hidden;
  colour = shown(light);
}
