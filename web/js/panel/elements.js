/** Making HTML elements: make('button', { title: 'Undo', onclick }, ['text']). */

export function make(name, properties = {}, children = []) {
  const element = document.createElement(name)
  for (const [key, value] of Object.entries(properties)) {
    if (key.startsWith('on') || key in element) element[key] = value
    else element.setAttribute(key, value)
  }
  element.append(...children)
  return element
}

// Shapes of 16 x 16, drawn as lines.
const ICONS = {
  undo: 'M6 3 2.5 6.5 6 10M3 6.5h6.2a3.7 3.7 0 0 1 0 7.4H6.5',
  redo: 'M10 3l3.5 3.5L10 10M13 6.5H6.8a3.7 3.7 0 0 0 0 7.4h2.7',
  mirror: 'M8 2v2M8 6v2M8 10v2M8 14v.5M5.5 4.5 1.5 12h4zM10.5 4.5l4 7.5h-4z',
  split: 'M8 1.8v12.4M5.5 5.5 2.5 8l3 2.5M10.5 5.5l3 2.5-3 2.5',
  random:
    'M3.2 2.5h9.6a.7.7 0 0 1 .7.7v9.6a.7.7 0 0 1-.7.7H3.2a.7.7 0 0 1-.7-.7V3.2a.7.7 0 0 1 .7-.7zM5.5 5.5h.01M10.5 10.5h.01M10.5 5.5h.01M5.5 10.5h.01M8 8h.01',
  reset: 'M8 14A6 6 0 1 0 8 2a6 6 0 0 0 0 12zM5.2 10h5.6M5.8 6.5h.01M10.2 6.5h.01',
  plain: 'M2 4.5h7M13 4.5h1M11 2.7v3.6M2 11.5h2M8 11.5h6M6 9.7v3.6',
  live: 'M8 10a2 2 0 1 0 0-4 2 2 0 0 0 0 4zM4.1 11.9a5.5 5.5 0 0 1 0-7.8M11.9 4.1a5.5 5.5 0 0 1 0 7.8'
}

export function icon(name) {
  const holder = make('span', { className: 'aua-icon', 'aria-hidden': 'true' })
  holder.innerHTML = `<svg viewBox="0 0 16 16"><path d="${ICONS[name]}"/></svg>`
  return holder
}
