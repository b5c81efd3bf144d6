/**
 * The mouth, one half at a time, and how each AU moves it.
 *
 * The corner is drawn up and back (12), in (14), down (15) or sideways (20); the upper lip is lifted
 * beside the nose (9) or over the eye teeth (10); the lips are drawn together into a pucker (18),
 * turned out into a funnel (22), tightened (23) or pressed (24); the chin pushes the lower lip up
 * (17), lips part (25), the jaw falls (26) or is pulled open, the mouth then long and oval (27).
 */

import { add } from './curves.js'
import { shown } from './sides.js'

// Points of the mouth: corner; along the edge of the upper lip side, peak, dip; on the line where
// the lips meet, above (upperIn, upperMid) and below (lowerIn, lowerMid) the gap; along the edge of
// the lower lip near the corner, side, middle.
const MOUTH = {
  corner: [25.5, 64.2],
  side: [15.5, 59.2],
  peak: [6.5, 56.2],
  dip: [0, 58],
  upperIn: [13, 63.6],
  upperMid: [0, 64.6],
  lowerIn: [13, 63.6],
  lowerMid: [0, 64.6],
  near: [20.5, 69.2],
  below: [12, 73.6],
  bottom: [0, 75.4]
}
const MOUTH_MOVES = {
  9: {
    side: [0, -4],
    peak: [0, -5],
    dip: [0, -4.4],
    upperIn: [0, -1.2],
    upperMid: [0, -1.4],
    corner: [0, -0.6]
  },
  10: {
    side: [1, -6.6],
    peak: [1.6, -9],
    dip: [0, -8],
    upperIn: [0.5, -4],
    upperMid: [0, -4.6],
    corner: [0, -0.8]
  },
  12: {
    corner: [11, -11],
    side: [6, -4.6],
    peak: [2, 0.4],
    dip: [0, 0.8],
    upperIn: [5, -2],
    upperMid: [0, 1.2],
    lowerIn: [5, -2],
    lowerMid: [0, 1.2],
    near: [8.5, -6.4],
    below: [5, -2.4],
    bottom: [0, -0.6]
  },
  14: {
    corner: [-2.6, -0.8],
    side: [-1, 1.8],
    peak: [0, 0.6],
    upperIn: [-0.6, 0],
    lowerIn: [-0.6, 0],
    near: [-2, -2.2],
    below: [-0.4, -1.2],
    bottom: [0, -0.8]
  },
  15: {
    corner: [1.5, 10],
    side: [1.5, 5],
    peak: [0, 1],
    dip: [0, 0.8],
    upperIn: [1, 1],
    upperMid: [0, -0.8],
    lowerIn: [1, 1],
    lowerMid: [0, -0.8],
    near: [1.8, 6.4],
    below: [1.2, 1.8],
    bottom: [0, 0.4]
  },
  16: { lowerIn: [1, 3.4], lowerMid: [0, 3.4], near: [1, 3.4], below: [1, 5], bottom: [0, 4.6] },
  17: {
    corner: [-0.6, 3.2],
    side: [0, -0.4],
    peak: [0, -2.2],
    dip: [0, -2.2],
    upperIn: [0, -2.2],
    upperMid: [0, -4.4],
    lowerIn: [0, -2.2],
    lowerMid: [0, -4.4],
    near: [0, -1.2],
    below: [0, -4],
    bottom: [0, -4.6]
  },
  18: {
    corner: [-11, 0.2],
    side: [-5, -1.6],
    peak: [-2, -1.8],
    dip: [0, -2.2],
    upperIn: [-6, 0.3],
    lowerIn: [-6, 0.3],
    near: [-8, 0.6],
    below: [-4.6, 1.6],
    bottom: [0, 1.8]
  },
  20: {
    corner: [12.5, 2.2],
    side: [7.5, 2.2],
    peak: [3, 1.8],
    dip: [0, 1.4],
    upperIn: [6, 0.8],
    lowerIn: [6, 0.8],
    near: [10.5, -0.4],
    below: [6.5, -2],
    bottom: [0, -2.6]
  },
  22: {
    corner: [-8.6, 0.6],
    side: [-3.4, -3],
    peak: [-1, -4.4],
    dip: [0, -5.2],
    upperIn: [-2.6, -3.4],
    upperMid: [0, -5],
    lowerIn: [-2.6, 5.4],
    lowerMid: [0, 6],
    near: [-5.8, 3.4],
    below: [-3, 6],
    bottom: [0, 6.4]
  },
  23: {
    corner: [-4.5, 0],
    side: [-2.8, 2.8],
    peak: [-1.2, 4.6],
    dip: [0, 3.8],
    upperIn: [-2, 0.2],
    lowerIn: [-2, 0.2],
    near: [-3.6, -2.8],
    below: [-2, -5],
    bottom: [0, -6]
  },
  24: {
    corner: [0.4, 0.4],
    side: [0.4, 2.2],
    peak: [0, 3.4],
    dip: [0, 3],
    near: [0, -2],
    below: [0, -3.8],
    bottom: [0, -4.6]
  },
  25: {
    corner: [-0.4, 0.4],
    side: [0, -0.5],
    peak: [0, -1],
    dip: [0, -1],
    upperIn: [0, -1.2],
    upperMid: [0, -1.6],
    lowerIn: [0, 4.6],
    lowerMid: [0, 5.8],
    near: [0, 2],
    below: [0, 4.4],
    bottom: [0, 5.2]
  },
  26: {
    corner: [-1.6, 3],
    side: [-0.8, 0.6],
    upperIn: [-0.8, 0],
    lowerIn: [-1, 7],
    lowerMid: [0, 8.6],
    near: [-1, 5.6],
    below: [-1, 9.4],
    bottom: [0, 11.2]
  },
  27: {
    corner: [-6.5, 10],
    side: [-2.4, 2.2],
    peak: [-0.4, 0.4],
    upperIn: [-1, 0.6],
    upperMid: [0, -2.4],
    lowerIn: [-0.8, 26],
    lowerMid: [0, 32],
    near: [-5, 22.6],
    below: [-2.6, 28.6],
    bottom: [0, 29.4]
  }
}

// Less than none of the one looks like the other.
const ANTAGONISTS = { 12: 15, 15: 12 }

/** The points of one half of the mouth. Lips may touch and never cross. */
export function mouth(a) {
  const points = { ...MOUTH }
  for (const unit of Object.keys(MOUTH_MOVES)) {
    const share = a(Number(unit))
    if (!share) continue
    const turned = share < 0 && unit in ANTAGONISTS
    const moves = MOUTH_MOVES[turned ? ANTAGONISTS[unit] : unit]
    const narrows = unit === '22' ? 1 - 0.7 * shown(a(18)) : 1 // 18 has narrowed the mouth already
    for (const [name, [dx, dy]] of Object.entries(moves)) {
      points[name] = add(points[name], [narrows * dx, dy], turned ? -share : share)
    }
  }
  const below = ([, y], [x, lowest]) => [x, Math.max(lowest, y)]
  points.lowerIn = below(points.upperIn, points.lowerIn)
  points.lowerMid = below(points.upperMid, points.lowerMid)
  return points
}
