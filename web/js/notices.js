/**
 * What our nodes tell a person, as toasts: warnings while they run (nodes/compat.py), and why one
 * failed, of which the page's own message has only the node.
 */

import { api } from '../../../scripts/api.js'
import { app } from '../../../scripts/app.js'

const OURS = 'AUA_'
const LIFE = 20000 // milliseconds

function tell(severity, summary, detail) {
  app.extensionManager.toast.add({ severity, summary, detail, life: LIFE })
}

app.registerExtension({
  name: 'AU-Adapter.Notices',

  setup() {
    api.addEventListener('au_adapter.notice', ({ detail }) =>
      tell('warn', detail.title, detail.text)
    )
    api.addEventListener('execution_error', ({ detail }) => {
      if (!detail.node_type?.startsWith(OURS)) return
      const [name, ...reason] = detail.exception_message.trim().split(': ')
      tell('error', name, reason.join(': '))
    })
  }
})
