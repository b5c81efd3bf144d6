#version 330
in vec3 position; in vec3 normal; in vec4 tint;
uniform mat4 project; out vec3 v_position, v_normal; out vec4 v_tint;
void main() { v_position = position; v_normal = normal; v_tint = tint;
  gl_Position = project * vec4(position, 1.0); }
