#version 330
in vec3 position; in vec3 normal; in vec3 tangent; in vec4 flow;
uniform mat4 project; out vec3 v_position, v_normal, v_tangent; out vec4 v_flow;
void main() { v_position = position; v_normal = normal; v_tangent = tangent; v_flow = flow;
  gl_Position = project * vec4(position, 1.0); }
