#version 330
in vec3 position; in vec3 normal;
uniform mat4 project; out vec3 v_position, v_normal;
void main() { v_position = position; v_normal = normal;
  gl_Position = project * vec4(position, 1.0); }
