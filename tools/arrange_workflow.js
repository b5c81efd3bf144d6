// Runs in ComfyUI's page. Loads an API graph, adds the note, and stands the nodes in columns of
// groups, all of a column as wide as its widest node. A group without caption gets no frame.
({ api, columns, note, sizes }) => {
  // BETWEEN leaves room for the pack's badge: above a node, or within it in Nodes 2.0.
  const GAP = 30, PADDING = 10, CAPTION = 56, BETWEEN = 34, TITLE = LiteGraph.NODE_TITLE_HEIGHT

  app.loadApiJson(api, 'workflow')
  const { graph } = app
  const about = addNote()
  const find = (id) => (id === 'note' ? about : graph.getNodeById(id))

  function addNote() {
    const node = LiteGraph.createNode('MarkdownNote')
    node.title = 'About this workflow'
    node.widgets[0].value = note
    graph.add(node)
    return node
  }

  function fit(node) {
    const [width, height] = sizes[node.type] ?? [0, 0]
    const [leastWidth, leastHeight] = node.computeSize()
    node.setSize([width || leastWidth, Math.max(height, leastHeight)])
  }

  function place(node, x, y, width) {
    node.setSize([width, node.size[1]])
    node.pos = [x, y + TITLE]
    return node.size[1] + TITLE
  }

  function frame(caption, colour, bounds) {
    const group = new LiteGraph.LGraphGroup(caption)
    group.color = colour
    group.font_size = 22
    group.pos = bounds.slice(0, 2)
    group.size = bounds.slice(2)
    graph.add(group)
  }

  function stack({ caption, colour, nodes }, x, y, width) {
    let bottom = y + (caption ? CAPTION : 0)
    for (const id of nodes) {
      bottom += place(find(id), x + PADDING, bottom, width) + BETWEEN
    }
    if (caption) frame(caption, colour, [x, y, width + 2 * PADDING, bottom - y])
    return bottom
  }

  for (const widget of graph.nodes.flatMap((node) => node.widgets ?? [])) {
    // The same face on every run, so that what changes is the expression.
    if (widget.name === 'control_after_generate') widget.value = 'fixed'
  }
  graph.nodes.forEach(fit)

  let x = 0
  for (const column of columns) {
    const nodes = column.flatMap((group) => group.nodes).map(find)
    const width = Math.max(...nodes.map((node) => node.size[0]))
    let y = 0
    for (const group of column) y = stack(group, x, y, width) + GAP
    x += width + 2 * PADDING + GAP
  }
}
