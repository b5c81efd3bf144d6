/**
 * From AU intensities to how far each half of a face has moved.
 *
 * A face is {number: [left, right]}, intensities 0..5 of the subject's own sides. Anatomy works on
 * one half at a time, with x growing from the middle of the face outwards; the subject's left is on
 * the right of the drawing.
 */

const LEAST = -1
const MOST = 1.4 // beyond FACS's maximum an adapter extrapolates; the drawing follows a little

/** A function of an AU's number: 0 at rest, 1 at intensity 5, for one half of a face. */
export function halfOf(face, side) {
  return (unit) => Math.min(Math.max((face[unit]?.[side] ?? 0) / 5, LEAST), MOST)
}

/** Between two halves: what an AU does on the middle line, or in the jaw. */
export function middleOf(left, right) {
  return (unit) => (left(unit) + right(unit)) / 2
}

/** How visible a wrinkle is that an AU makes: none below rest, all of it at intensity 5. */
export const shown = (share) => Math.min(Math.max(share, 0), 1)

/** Points of a half put onto the drawing: the subject's left (0) keeps x, the right (1) mirrors. */
export const place = (points, side) => (side === 0 ? points : points.map(([x, y]) => [-x, y]))
