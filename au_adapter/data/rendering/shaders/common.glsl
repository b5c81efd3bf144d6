#version 330
uniform vec3 key_direction;      // in the head's own space, so that skin can look shadows up
uniform vec3 key_colour, ambient_top, ambient_bottom;
uniform vec3 up, eye_point;      // world up and camera, in the head's space
uniform float rim;
vec3 ambient(vec3 n) { return mix(ambient_bottom, ambient_top, dot(n, up) * 0.5 + 0.5); }
vec4 shown(vec3 light) { return vec4(sqrt(light / (1.0 + 0.12 * light)), 1.0); }
