/** Plain English about a face, which the server reads. */

import { api } from '../../../../scripts/api.js'
import { faceOfCodes } from './notation.js'

/** What a text says, as { face }, or as { reason } where the server cannot read it. */
export async function faceOfWords(text) {
  const answer = await api.fetchApi(`/au_adapter/words?${new URLSearchParams({ text })}`)
  const said = await answer.json()
  return answer.ok ? { face: faceOfCodes(said) } : { reason: said.error }
}

/** Whether a text was meant as English words, and not as codes or in another language. */
export function isEnglish(text) {
  return /^[ -/:-~]*$/.test(text)
}
