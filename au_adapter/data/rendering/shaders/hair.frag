in vec3 v_position, v_normal, v_tangent; in vec4 v_flow;
uniform vec3 tint; uniform sampler2D strands; uniform float frizz, curl;
out vec4 colour;
void main() {
  float angle = atan(v_flow.y, v_flow.x) / 6.2831853;
  float bend = 0.012 * sin(v_flow.z * 0.5 + angle * 19.0);
  bend = bend * frizz + 0.014 * curl * sin(v_flow.z * 8.0 + 5.0 * sin(angle * 150.0));
  vec2 at = vec2(angle + bend, v_flow.z * mix(0.03, 0.16, curl));
  float coarse = texture(strands, at * vec2(2.0, 1.0)).r;
  float fine = texture(strands, at * vec2(5.0, 2.0) + 0.37).r;
  float strand = 0.55 * coarse + 0.45 * fine;
  if (v_flow.w + (strand - 0.5) * 0.65 < 0.1) discard;
  vec3 n = normalize(v_normal), t = normalize(v_tangent + n * (strand - 0.5) * 0.5);
  vec3 eye = normalize(eye_point - v_position);
  float outside = smoothstep(-0.2, 0.1, dot(n, eye));  // the inner side of far hair is dark
  vec3 half_way = normalize(eye + key_direction);
  float th = dot(t, half_way), spread = sqrt(max(1.0 - th * th, 0.0));
  float s2 = spread * spread; float s8 = s2 * s2; s8 *= s8; float s32 = s8 * s8; s32 *= s32;
  float facing = clamp(dot(n, key_direction) * 0.7 + 0.3, 0.0, 1.0);
  float deep = mix(0.35, 1.0, strand) * mix(0.55, 1.0, smoothstep(0.0, 1.5, v_flow.w));
  vec3 base = tint * (0.55 + 0.8 * strand); base *= base;
  vec3 light = base * (key_colour * facing * 0.95 + ambient(n)) * deep * mix(0.25, 1.25, outside);
  light += outside * key_colour * facing * (0.35 * s32 * s32 * strand * (0.04 + tint * 0.3)
         + 0.25 * s8 * tint * tint * strand);
  light += outside * ambient_top * pow(1.0 - max(dot(n, eye), 0.0), 4.0) * rim * 0.25;
  colour = shown(light);
}
