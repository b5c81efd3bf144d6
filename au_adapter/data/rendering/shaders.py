"""GLSL of every material. Colours are squared into linear light, lit, and rooted back."""

from __future__ import annotations

_COMMON = """#version 330
uniform vec3 key_direction;      // in the head's own space, so that skin can look shadows up
uniform vec3 key_colour, ambient_top, ambient_bottom;
uniform vec3 up, eye_point;      // world up and camera, in the head's space
uniform float rim;
vec3 ambient(vec3 n) { return mix(ambient_bottom, ambient_top, dot(n, up) * 0.5 + 0.5); }
vec4 shown(vec3 light) { return vec4(sqrt(light / (1.0 + 0.12 * light)), 1.0); }
"""

SKIN_VERTEX = """#version 330
in vec3 position; in vec3 normal; in float seen;
in vec2 texture_point; in float occlusion;
uniform mat4 project;
out vec3 v_normal, v_position; out vec2 v_point; out vec2 v_light;
void main() {
  v_normal = normal; v_position = position; v_point = texture_point;
  v_light = vec2(seen, occlusion);
  gl_Position = project * vec4(position, 1.0);
}"""

SKIN_FRAGMENT = (
    _COMMON
    + """
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
}"""
)

EYE_VERTEX = """#version 330
in vec3 position; in vec3 local;
uniform mat4 project; out vec3 v_position, v_local;
void main() {
  v_position = position; v_local = local; gl_Position = project * vec4(position, 1.0);
  gl_Position.z += 0.005 * gl_Position.w;  // 3 mm back, so that a closed lid always covers it
}
"""

EYE_FRAGMENT = (
    _COMMON
    + """
in vec3 v_position, v_local;
uniform vec3 iris_colour, centre, lid; uniform float openness;
out vec4 colour;
void main() {
  vec3 n = normalize(v_position - centre);
  vec2 q = v_local.xy / IRIS;
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
}""".replace("IRIS", "0.60")
)

MOUTH_VERTEX = """#version 330
in vec3 position; in vec3 normal; in vec4 tint;
uniform mat4 project; out vec3 v_position, v_normal; out vec4 v_tint;
void main() { v_position = position; v_normal = normal; v_tint = tint;
  gl_Position = project * vec4(position, 1.0); }
"""

MOUTH_FRAGMENT = (
    _COMMON
    + """
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
}"""
)

PLAIN_VERTEX = """#version 330
in vec3 position; in vec3 normal;
uniform mat4 project; out vec3 v_position, v_normal;
void main() { v_position = position; v_normal = normal;
  gl_Position = project * vec4(position, 1.0); }
"""

PLAIN_FRAGMENT = (
    _COMMON
    + """
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
}"""
)

HAIR_VERTEX = """#version 330
in vec3 position; in vec3 normal; in vec3 tangent; in vec4 flow;
uniform mat4 project; out vec3 v_position, v_normal, v_tangent; out vec4 v_flow;
void main() { v_position = position; v_normal = normal; v_tangent = tangent; v_flow = flow;
  gl_Position = project * vec4(position, 1.0); }
"""

HAIR_FRAGMENT = (
    _COMMON
    + """
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
}"""
)
