/** Points and the SVG paths through them. A point is [x, y] in the units of the drawing. */

export const add = ([x, y], [dx, dy], share = 1) => [x + share * dx, y + share * dy]

export const mix = ([ax, ay], [bx, by], share = 0.5) => [
  ax + share * (bx - ax),
  ay + share * (by - ay)
]

const text = ([x, y]) => `${x.toFixed(2)} ${y.toFixed(2)}`

/** Cubic pieces of a Catmull-Rom spline through the points, without the first point. */
function pieces(points, tension = 6) {
  return points.slice(1).map((end, index) => {
    const start = points[index]
    const before = points[index - 1] ?? start
    const after = points[index + 2] ?? end
    const first = [
      start[0] + (end[0] - before[0]) / tension,
      start[1] + (end[1] - before[1]) / tension
    ]
    const second = [
      end[0] - (after[0] - start[0]) / tension,
      end[1] - (after[1] - start[1]) / tension
    ]
    return `C${text(first)} ${text(second)} ${text(end)}`
  })
}

/** A smooth open line through the points. */
export const line = (points) => `M${text(points[0])}${pieces(points).join('')}`

/** A closed outline of smooth lines that meet in corners, each beginning where the last ended. */
export const outline = (...lines) =>
  `M${text(lines[0][0])}${lines.flatMap((points) => pieces(points)).join('')}Z`

/** A closed smooth outline without corners. */
export function loop(points) {
  const count = points.length
  const around = [points[count - 1], ...points, points[0], points[1]]
  return `M${text(points[0])}${pieces(around)
    .slice(1, count + 1)
    .join('')}Z`
}
