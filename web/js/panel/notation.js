/**
 * FACS notation both ways, by the grammar of au_adapter/facs/notation.py:
 *
 *     item = [L|R] ["AU"] number [A-E | (":" or "=") decimal]
 *
 * Items stand between + , ; / or spaces. A face is {number: [left, right]}.
 */

const CODE = /^([A-Z]*)([0-9]+)/
const DECIMAL = /^[:=](-?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+))$/
const ALTERNATIVES = /@|\bOR\b/
const TWO_GRADES = /[0-9]\s*([A-E]\s*\/\s*[A-E])(?![A-Z0-9])/
const DECIMAL_COMMA = /[:=]-?[0-9]+,[0-9]+(?![0-9.]*[A-Z:=])/
const SEPARATORS = /[+,;/\s]+/

/** A text that is no notation; `message` says why. */
export class NotationError extends Error {}

/** The face that a text writes. Throws NotationError. */
export function parseNotation(text, tables) {
  const codes = {}
  for (const item of items(text, tables)) {
    const { prefix, number, rest } = splitItem(item, tables)
    const sides = { '': [0, 1], L: [0], R: [1] }[prefix]
    const taken = (codes[number] ??= [])
    if (sides.some((side) => taken[side] !== undefined)) refuse(tables, 'twice', { number })
    for (const side of sides) taken[side] = intensity(rest, item, tables)
  }
  return Object.fromEntries(
    Object.entries(codes).map(([number, [left = 0, right = 0]]) => [number, [left, right]])
  )
}

/** A face as notation, zeros left out; at rest it is the empty text. */
export function formatNotation(face, tables) {
  const written = (code, value) => (value ? [code + grade(value, tables)] : [])
  return Object.entries(face)
    .flatMap(([number, [left, right]]) =>
      left === right
        ? written(number, left)
        : [...written(`L${number}`, left), ...written(`R${number}`, right)]
    )
    .join('+')
}

/** A recipe of the tables, {code: intensity}, as a face. */
export function faceOfCodes(codes) {
  const face = {}
  for (const [code, value] of Object.entries(codes)) {
    const [, prefix, number] = CODE.exec(code)
    face[number] ??= [0, 0]
    if (prefix !== 'R') face[number][0] = value
    if (prefix !== 'L') face[number][1] = value
  }
  return face
}

function refuse(tables, reason, values) {
  throw new NotationError(tables.say(reason, values))
}

function items(text, tables) {
  let upper = text.toUpperCase()
  const found = ALTERNATIVES.exec(upper)?.[0] ?? TWO_GRADES.exec(upper)?.[1]
  if (found) refuse(tables, 'alternatives', { item: found })
  upper = upper.replace(/\s*([:=])\s*/g, '$1')
  const comma = DECIMAL_COMMA.exec(upper)
  if (comma) refuse(tables, 'commaOrList', { item: comma[0] })
  return upper
    .replace(/\bAU\s+(?=[LRTB]?[0-9])/g, 'AU')
    .split(SEPARATORS)
    .filter(Boolean)
}

function splitItem(item, tables) {
  const match = CODE.exec(item)
  if (!match) refuse(tables, 'notANumber', { item })
  const number = Number(match[2])
  if (tables.refused[number]) throw new NotationError(tables.refused[number])
  if (number >= 50 && number <= 79) refuse(tables, 'notFacial', { number })
  if (!tables.units[number]) refuse(tables, 'notAUnit', { number })
  const prefix = match[1].replace('AU', '')
  if (prefix === 'T' || prefix === 'B') refuse(tables, 'noLip', { item })
  if (!['', 'L', 'R'].includes(prefix)) refuse(tables, 'noPrefix', { item })
  return { prefix, number, rest: item.slice(match[0].length) }
}

function intensity(rest, item, tables) {
  if (!rest) return tables.default_intensity
  if (rest in tables.letters) return tables.letters[rest]
  const decimal = DECIMAL.exec(rest)
  if (!decimal || !Number.isFinite(Number(decimal[1]))) refuse(tables, 'noGrade', { item })
  return Number(decimal[1])
}

function grade(value, tables) {
  const letter = Object.keys(tables.letters).find((name) => tables.letters[name] === value)
  return letter ?? `:${value}`
}
