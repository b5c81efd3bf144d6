/**
 * The tables of FACS that the panel reads, from the server: the Python library is their one source.
 *
 * Words: a translation may give its own names in `locales/<language>/main.json`, under
 * "auAdapter": { "units": {"12": ...}, "places": {...}, "looks": {...}, "panel": {...} }.
 */

import { api } from '../../../../scripts/api.js'
import { app } from '../../../../scripts/app.js'
import { ENGLISH } from './words.js'

let loading = null

/** The tables, loaded once for the page. */
export function loadTables() {
  loading ??= fetchTables().catch((error) => {
    loading = null // the server may come back
    throw error
  })
  return loading
}

async function fetchTables() {
  const [tables, translated] = await Promise.all([ask('/au_adapter/facs'), translation()])
  return new Tables(tables, translated)
}

async function ask(path) {
  const answer = await api.fetchApi(path)
  if (!answer.ok) throw new Error(`${path}: the server answers ${answer.status}`)
  return answer.json()
}

/** What the chosen language says of the panel; nothing where it has no such words. */
async function translation() {
  const language = app.extensionManager?.setting.get('Comfy.Locale') ?? 'en'
  if (language === 'en') return {}
  const languages = await ask('/i18n')
  return languages[language]?.auAdapter ?? {}
}

export class Tables {
  constructor(tables, translated = {}) {
    Object.assign(this, tables)
    this.translated = translated
    this.order = this.places.flatMap((place) => place.units)
  }

  unitName(number) {
    return this.translated.units?.[number] ?? this.units[number].plain
  }

  placeName(name) {
    return this.translated.places?.[name] ?? name
  }

  lookName(name) {
    return this.translated.looks?.[name] ?? name
  }

  /** A sentence of the panel; {name} in it stands for what `values` gives. */
  say(key, values = {}) {
    const text = this.translated.panel?.[key] ?? ENGLISH[key]
    return text.replace(/\{(\w+)\}/g, (_, name) => values[name])
  }
}
