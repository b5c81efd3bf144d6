in vec3 v_position, v_local;
uniform vec3 iris_colour, centre, lid; uniform float openness;
out vec4 colour;
void main() {
  vec3 n = normalize(v_position - centre);
  vec2 q = v_local.xy / 0.60;
  float r = length(q), angle = atan(q.y, q.x);
  float streak = sin(angle * 23.0 + sin(angle * 7.0) * 2.0) * 0.5 + sin(angle * 41.0) * 0.3;
  vec3 iris = iris_colour * (0.75 + 0.35 * streak * smoothstep(0.35, 0.8, r));
  iris *= 1.15 - 0.75 * smoothstep(0.72, 1.0, r);
  iris *= 1.0 + 0.55 * clamp(-dot(q, vec2(0.25, 0.8)), 0.0, 1.0);
  vec3 white = vec3(0.90, 0.865, 0.845) - vec3(0.02, 0.10, 0.10) * smoothstep(1.0, 2.2, r);
  vec3 albedo = mix(iris, white, smoothstep(0.95, 1.08, r));
  albedo = mix(vec3(0.015), albedo, smoothstep(0.38, 0.46, r));
  float x = v_position.x - centre.x;
  float below = lid.x * x * x + lid.y * x + lid.z - (v_position.y - centre.y);
  float shade = mix(0.36, 1.0, smoothstep(-0.05, 0.42, below));
  shade *= 1.0 - 0.35 * smoothstep(0.75, 1.5, abs(x));
  shade *= smoothstep(0.02, 0.3, openness);
  float diffuse = clamp((dot(n, key_direction) + 0.3) / 1.3, 0.0, 1.0);
  vec3 light = albedo * albedo * (key_colour * diffuse * 0.9 + ambient(n)) * shade;
  vec3 eye = normalize(eye_point - v_position);
  vec3 bulged = normalize(n + 0.28 * (vec3(q, 0.0)) * step(r, 1.1));
  float gloss = max(dot(bulged, normalize(eye + key_direction)), 0.0);
  light += key_colour * smoothstep(0.985, 0.994, gloss) * 0.95 * shade;
  colour = shown(light);
}
