#version 330
in vec3 position; in vec3 normal; in float seen;
in vec2 texture_point; in float occlusion;
uniform mat4 project;
out vec3 v_normal, v_position; out vec2 v_point; out vec2 v_light;
void main() {
  v_normal = normal; v_position = position; v_point = texture_point;
  v_light = vec2(seen, occlusion);
  gl_Position = project * vec4(position, 1.0);
}
