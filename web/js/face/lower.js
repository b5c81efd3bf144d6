/**
 * The lower face around the mouth, one half at a time: nose, cheek, chin, jaw, and its wrinkles.
 */

import { add, mix } from './curves.js'
import { mouth } from './mouth.js'
import { shown } from './sides.js'

/** How far the chin has come down (26, 27) or up (17), in units of the drawing. */
export const chinDrop = (a) => 15 * a(26) + 24 * a(27) - 3 * shown(a(17))

/** The outline of the head, from the crown over the temple to the chin. */
export function headOutline(a) {
  const drop = chinDrop(a)
  const full = 1.6 * shown(a(12)) + 1.2 * shown(a(6))
  const wide = 1.6 * shown(a(20))
  return [
    [0, -131],
    [38, -125],
    [66, -98],
    [73.5, -52],
    [72.5, -10],
    [70.5 + full, 20],
    [64 + full, 52 + 0.1 * drop],
    [50.5 + wide - 0.1 * drop, 84 + 0.7 * drop],
    [31 + wide, 105 + drop],
    [13, 114 + drop],
    [0, 115 + drop]
  ]
}

/** The wing of the nose and its nostril: 9 and 10 lift it, 12 widens it. */
export function nose(a) {
  const move = [
    1.6 * a(9) + 1.2 * a(10) + 1.6 * a(12) + 0.8 * a(20),
    -5.5 * a(9) - 2.2 * a(10) - 0.8 * a(12)
  ]
  const tip = -1.6 * a(9)
  return {
    wing: [
      [10.5, 23],
      [16, 29.5],
      [15, 36.5],
      [9.6, 38.6]
    ].map((point) => add(point, move)),
    nostril: add([6.6, 38], move, 0.75),
    tip: [
      [0, 41.2 + tip],
      [4, 40.6 + tip],
      [7.4, 39.4 + 0.7 * move[1]]
    ],
    bridge: [
      [9.5, -24],
      [7.4, -8],
      [7.8, 8],
      [10.4, 22 + 0.5 * move[1]]
    ]
  }
}

/** Where the fullness of the cheek is: 6 and 12 lift it. */
export function cheek(a) {
  const lifted = 7.5 * shown(a(6)) + 4 * shown(a(12))
  return { center: [44, 27 - lifted], strength: 0.3 + 0.5 * shown(a(6)) + 0.3 * shown(a(12)) }
}

/** Lines that the lower face gets: each is {points, strength 0..1}. */
export function lowerLines(a, points = mouth(a)) {
  return [nasolabialFold(a), ...cornerLines(a, points), ...lipLines(a, points), ...chinLines(a, points)]
}

const FOLD = [
  [18, 26.5],
  [26.5, 37],
  [33, 51],
  [36, 65]
]
const FOLD_MOVES = {
  6: {
    moves: [
      [0, -2],
      [1, -2.5],
      [1, -1.5],
      [0, 0]
    ],
    strength: 0.3
  },
  9: {
    moves: [
      [0.5, -6],
      [0, -4],
      [0, -1],
      [0, 0]
    ],
    strength: 0.6
  },
  10: {
    moves: [
      [0.5, -4],
      [3, -5],
      [2, -2],
      [0, 0]
    ],
    strength: 0.85
  },
  12: {
    moves: [
      [0, -2],
      [4.5, -4.5],
      [9, -6],
      [11, -9]
    ],
    strength: 0.8
  },
  14: {
    moves: [
      [0, 0],
      [0, 0],
      [0, 0],
      [0, 0]
    ],
    strength: 0.15
  },
  15: {
    moves: [
      [0, 0],
      [0, 1],
      [0, 2],
      [0.5, 6]
    ],
    strength: 0.3
  },
  17: {
    moves: [
      [0, 0],
      [0, 0],
      [0, 0],
      [0, 1]
    ],
    strength: 0.1
  },
  20: {
    moves: [
      [0, 0],
      [1.5, 0],
      [4, 0.5],
      [7, 2]
    ],
    strength: 0.3
  },
  26: {
    moves: [
      [0, 0],
      [0, 0],
      [-0.5, 2],
      [-1.5, 5]
    ],
    strength: 0.1
  },
  27: {
    moves: [
      [0, 0],
      [-0.5, 1.5],
      [-1.5, 5],
      [-3, 11]
    ],
    strength: 0.25
  }
}

/** From the wing of the nose round the corner of the mouth. */
function nasolabialFold(a) {
  let points = FOLD
  let strength = 0.14
  for (const [unit, move] of Object.entries(FOLD_MOVES)) {
    const share = a(Number(unit))
    points = points.map((point, index) => add(point, move.moves[index], share))
    strength += move.strength * shown(share)
  }
  return { points, strength: Math.min(strength, 1) }
}

/** At the corner of the mouth: the dimple of 14, the fold under 15, upright lines of 20. */
function cornerLines(a, { corner }) {
  const from = (offsets) => offsets.map((offset) => add(corner, offset))
  const fourteen = shown(a(14))
  return [
    {
      points: from([
        [2.6, -7],
        [5.4, -3.4],
        [5.8, 0.6],
        [3.4, 6.4]
      ]),
      strength: Math.max(fourteen, 0.35 * shown(a(12)))
    },
    {
      points: from([
        [8.6, -5.6],
        [10.6, -0.6],
        [8.6, 5.4]
      ]),
      strength: 0.65 * fourteen
    },
    {
      points: from([
        [1.4, 2],
        [4, 6.5],
        [4.4, 13]
      ]),
      strength: shown(a(15))
    },
    {
      points: from([
        [6, 1],
        [8.4, 6],
        [8, 12]
      ]),
      strength: 0.45 * shown(a(15))
    },
    {
      points: from([
        [4.6, -9],
        [6.6, -1],
        [5.4, 8]
      ]),
      strength: 0.85 * shown(a(20))
    },
    {
      points: from([
        [9.6, -7],
        [11.4, 0],
        [10, 8]
      ]),
      strength: 0.55 * shown(a(20))
    }
  ]
}

/** Around the red of the lips: fine lines of 18 and 23 that run to it, the bulges of 24. */
function lipLines(a, { side, peak, dip, near, below, bottom }) {
  const tight = shown(a(23))
  const pressed = shown(a(24))
  const fine = [
    { ends: [mix(dip, peak, 0.6), mix(peak, side, 0.3), side], strength: 0.75 },
    { ends: [mix(bottom, below, 0.3), below, mix(below, near)], strength: 0.6 }
  ].flatMap(({ ends, strength }) =>
    ends.map((end) => ({
      points: [1.8, 3.7, 5.6].map((far) => outwards(end, far)),
      strength: strength * Math.max(tight, 0.6 * shown(a(18)))
    }))
  )
  return [
    ...fine,
    {
      points: [
        [3.5, peak[1] - 4.6],
        [11, peak[1] - 5],
        [20, side[1] - 2.2]
      ],
      strength: 0.8 * pressed
    },
    {
      points: [
        [0, bottom[1] + 4],
        [9, below[1] + 5],
        [18, below[1] + 1.6]
      ],
      strength: 0.8 * pressed
    }
  ]
}

/** A point of the lips' edge moved away from the middle of the mouth. */
function outwards([x, y], far) {
  const [dx, dy] = [0.2 * x, y - 65]
  const length = Math.hypot(dx, dy)
  return [x + (far * dx) / length, y + (far * dy) / length]
}

/** The crease over the chin, and its boss pushed up and puckered by 17. */
function chinLines(a, { bottom }) {
  const seventeen = shown(a(17))
  const drop = chinDrop(a) * 0.85 + 3 * shown(a(25))
  const y = Math.max(83 + drop - 3.5 * seventeen, bottom[1] + 4)
  const crease = {
    points: [
      [0, y],
      [7, y + 0.6],
      [14, y + 3.6]
    ],
    strength: 0.3 + 0.65 * seventeen + 0.15 * shown(a(15))
  }
  const boss = [
    [0, 7.5, 3.4],
    [5.6, 6, 3],
    [10.6, 9, 2.6],
    [2.8, 13, 3],
    [8.4, 14.4, 2.6],
    [0, 18.4, 2.8]
  ]
  return [
    crease,
    ...boss.map(([x, dy, width]) => ({
      points: [
        [x - width / 2, y + dy],
        [x, y + dy - 1.5],
        [x + width / 2, y + dy]
      ],
      strength: 0.9 * seventeen
    })),
    {
      points: [
        [15.5, y + 5],
        [17.4, y + 11],
        [15.6, y + 18]
      ],
      strength: 0.6 * seventeen
    }
  ]
}
