/**
 * Setting AUs on the face itself: a place is dragged, or clicked to add one grade.
 *
 * Each place is an ellipse on one half of the drawing, x outwards from the middle. `vertical` and
 * `horizontal` name the AUs of both directions: [up, down] and [out, in].
 */

const SVG = 'http://www.w3.org/2000/svg'
const ZONES = [
  { name: 'Cheek', at: [46, 24], size: [19, 15], vertical: [6, null], unit: 6 },
  { name: 'Nose', at: [10, 28], size: [10, 15], vertical: [9, null], unit: 9 },
  { name: 'InnerBrow', at: [20, -38], size: [14, 9], vertical: [1, 4], unit: 1 },
  { name: 'OuterBrow', at: [48, -39], size: [15, 9], vertical: [2, 4], unit: 2 },
  { name: 'UpperLid', at: [34, -19], size: [19, 7.5], vertical: [5, 7], unit: 5 },
  { name: 'LowerLid', at: [34, -2], size: [19, 8], vertical: [7, null], unit: 7 },
  { name: 'Chin', at: [9, 99], size: [16, 13], vertical: [17, 26], unit: 17 },
  { name: 'UpperLip', at: [9, 56], size: [11, 6.5], vertical: [10, 24], unit: 10 },
  { name: 'LowerLip', at: [9, 72], size: [12, 7.5], vertical: [23, 25], unit: 25 },
  {
    name: 'Corner',
    at: [28, 64],
    size: [9, 10],
    vertical: [12, 15],
    horizontal: [20, 14],
    unit: 12
  }
]
const PER_GRADE = 4.5 // units of the drawing that a drag moves for one grade
const STILL = 2 // less is a click
const MOST = 5

/**
 * Put the places over a drawing.
 *
 * actions: begin(), change({unit: value}, side), end(), face() the face of now, point(unit).
 * side: 0 the person's left, 1 the right.
 */
export function addFaceInput(drawing, tables, actions) {
  const layer = document.createElementNS(SVG, 'g')
  for (const zone of ZONES) for (const side of [0, 1]) layer.append(place(zone, side))
  drawing.element.append(layer)

  function place(zone, side) {
    const ellipse = document.createElementNS(SVG, 'ellipse')
    const [x, y] = zone.at
    const values = { cx: side ? -x : x, cy: y, rx: zone.size[0], ry: zone.size[1] }
    for (const [key, value] of Object.entries(values)) ellipse.setAttribute(key, value)
    ellipse.setAttribute('class', 'aua-zone')
    ellipse.dataset.zone = zone.name
    ellipse.dataset.side = side
    const title = document.createElementNS(SVG, 'title')
    title.textContent = tables.say('drag', { zone: tables.say(`zone${zone.name}`) })
    ellipse.append(title)
    ellipse.addEventListener('pointerdown', (event) => new Drag(event, ellipse, zone, side))
    return ellipse
  }

  class Drag {
    constructor(event, ellipse, zone, side) {
      if (event.button !== 0) return
      Object.assign(this, { ellipse, zone, side, axis: null })
      this.start = this.#at(event)
      this.face = structuredClone(actions.face())
      ellipse.setPointerCapture(event.pointerId)
      ellipse.onpointermove = (moved) => this.#move(moved)
      ellipse.onpointerup = () => this.#end(true)
      ellipse.onpointercancel = () => this.#end(false)
      actions.begin()
    }

    #at({ clientX, clientY }) {
      return new DOMPoint(clientX, clientY).matrixTransform(
        drawing.element.getScreenCTM().inverse()
      )
    }

    #move(event) {
      const { x, y } = this.#at(event)
      const out = (this.side ? -1 : 1) * (x - this.start.x)
      const up = this.start.y - y
      if (!this.axis && Math.hypot(out, up) < STILL) return
      const sideways = this.zone.horizontal && Math.abs(out) > 1.5 * Math.abs(up)
      this.axis ??= sideways ? 'horizontal' : 'vertical'
      const moved = this.axis === 'horizontal' ? out : up
      const values = along(this.zone[this.axis], this.#value, moved / PER_GRADE)
      actions.change(values, this.side)
      if (!this.pointed)
        actions.point((this.pointed = this.zone[this.axis][moved > 0 ? 0 : 1] ?? this.zone.unit))
    }

    #value = (unit) => this.face[unit]?.[this.side] ?? 0

    #end(clicked) {
      this.ellipse.onpointermove = this.ellipse.onpointerup = this.ellipse.onpointercancel = null
      if (clicked && !this.axis) {
        const { unit } = this.zone
        actions.change({ [unit]: within(Math.round(this.#value(unit)) + 1) }, this.side)
        actions.point(unit)
      }
      actions.end()
    }
  }
}

const within = (value) => Math.round(10 * Math.min(Math.max(value, 0), MOST)) / 10

/**
 * What a drag along one direction makes of its two AUs. Where only the opposite one is on, it goes
 * back to 0 first; where both are on, the one that pulls this way grows.
 */
export function along([forth, back], value, grades) {
  const [unit, opposite] = grades >= 0 ? [forth, back] : [back, forth]
  const amount = Math.abs(grades)
  if (opposite !== null && value(opposite) > 0 && !(unit !== null && value(unit) > 0)) {
    const rest = amount - value(opposite)
    const lowered = { [opposite]: within(value(opposite) - amount) }
    return unit === null ? lowered : { ...lowered, [unit]: within(rest) }
  }
  const kept = opposite === null ? {} : { [opposite]: value(opposite) }
  return unit === null ? kept : { ...kept, [unit]: within(value(unit) + amount) }
}
