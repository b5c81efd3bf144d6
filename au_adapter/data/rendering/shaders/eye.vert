#version 330
in vec3 position; in vec3 local;
uniform mat4 project; out vec3 v_position, v_local;
void main() {
  v_position = position; v_local = local; gl_Position = project * vec4(position, 1.0);
  gl_Position.z += 0.005 * gl_Position.w;  // 3 mm back, so that a closed lid always covers it
}
