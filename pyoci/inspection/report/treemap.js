"use strict";
(function () {
  const image = JSON.parse(document.getElementById("image").textContent);
  const $ = (id) => document.getElementById(id);
  const LABEL = 16, LEAST = 3, ROWS = 200, MOST_INNER = 2500;
  let inner = 0, byKey = false;

  // A node is [name, size, layer] for a file and [name, size, layer, children] for a directory; the largest come first.
  const isDirectory = (node) => node.length > 3;

  function bytes(count) {
    const units = ["B", "kB", "MB", "GB", "TB"];
    let unit = 0;
    while (count >= 1000 && unit < units.length - 1) { count /= 1000; unit += 1; }
    return (unit ? count.toFixed(count < 100 ? 2 : 0) : String(count)) + " " + units[unit];
  }

  function colour(layer) {
    return layer < 0 ? "hsl(0 0% 80%)" : "hsl(" + ((layer * 137.508 + 210) % 360).toFixed(1) + " 62% " + (70 + (layer % 3) * 5) + "%)";
  }

  function element(tag, text, className) {
    const made = document.createElement(tag);
    if (text !== undefined) made.textContent = text;
    if (className) made.className = className;
    return made;
  }

  // Squarified: rows are laid along the shorter side for as long as that makes their cells squarer.
  function layout(nodes, x, y, width, height) {
    const placed = [];
    let total = nodes.reduce((sum, node) => sum + node[1], 0);
    let at = 0;
    while (at < nodes.length && total > 0 && width > 0 && height > 0) {
      const side = Math.min(width, height), scale = width * height / total;
      let row = 0, end = at, worst = Infinity;
      while (end < nodes.length) {
        const sum = (row + nodes[end][1]) * scale;
        const biggest = nodes[at][1] * scale, smallest = nodes[end][1] * scale;
        const ratio = Math.max(side * side * biggest / (sum * sum), sum * sum / (side * side * smallest));
        if (ratio > worst) break;
        worst = ratio; row += nodes[end][1]; end += 1;
      }
      const thick = row * scale / side;
      let along = 0;
      for (; at < end; at += 1) {
        const length = nodes[at][1] * scale / thick;
        placed.push(width >= height ? [nodes[at], x, y + along, thick, length] : [nodes[at], x + along, y, length, thick]);
        along += length;
      }
      if (width >= height) { x += thick; width -= thick; } else { y += thick; height -= thick; }
      total -= row;
    }
    return placed;
  }

  const label = (node) => node[0] + (isDirectory(node) ? "/" : "");

  function place(box, x, y, width, height) {
    box.style.left = x + "px"; box.style.top = y + "px";
    box.style.width = width + "px"; box.style.height = height + "px";
  }

  function fill(box, node, width, height) {
    if (!isDirectory(node) || width < 3 * LABEL || height < 2 * LABEL) return;
    for (const [child, x, y, w, h] of layout(node[3], 2, LABEL + 2, width - 6, height - LABEL - 6)) {
      if (w < LEAST || h < LEAST || inner >= MOST_INNER) continue;
      inner += 1;
      const part = element("div", undefined, "inner");
      part.style.background = colour(child[2]);
      place(part, x, y, w, h);
      box.appendChild(part);
      fill(part, child, w, h);
      if (w > 3 * LABEL && h > LABEL) part.appendChild(element("span", label(child), "label"));
    }
  }

  // Where we are: the numbers of the children on the way from the root. The address has them, so that Back goes back.
  let trail = [];
  const nodeAt = (numbers) => numbers.reduce((node, number) => node[3][number], image.root);
  const pathOf = (numbers) => {
    let node = image.root, path = "";
    for (const number of numbers) { node = node[3][number]; path += "/" + node[0]; }
    return path || "/";
  };

  function fromAddress() {
    const numbers = [];
    let node = image.root;
    for (const word of location.hash.slice(1).split(".")) {
      const number = Number(word);
      if (word === "" || !Number.isInteger(number) || !isDirectory(node) || !node[3][number] || !isDirectory(node[3][number])) break;
      numbers.push(number); node = node[3][number];
    }
    return numbers;
  }

  function go(numbers) { location.hash = numbers.join("."); }

  function describe(node, numbers) {
    const of = image.size ? (100 * node[1] / image.size).toFixed(1) + " % of the image" : "";
    const layer = node[2] >= 0 ? (isDirectory(node) ? ", mostly from layer " : ", layer ") + node[2] : "";
    return pathOf(numbers) + ": " + bytes(node[1]) + (of ? ", " + of : "") + layer;
  }

  function open(number) {
    const node = nodeAt(trail)[3][number];
    if (isDirectory(node)) { go([...trail, number]); return; }
    byKey = false;
    $("status").textContent = describe(node, [...trail, number]);
  }

  function crumbs() {
    const list = $("crumbs");
    list.replaceChildren();
    for (let depth = 0; depth <= trail.length; depth += 1) {
      const numbers = trail.slice(0, depth), item = element("li");
      const name = depth ? nodeAt(numbers)[0] : "/";
      if (depth === trail.length) {
        const here = element("span", name); here.setAttribute("aria-current", "page"); item.appendChild(here);
      } else {
        const button = element("button", name); button.type = "button";
        button.addEventListener("click", () => go(numbers)); item.appendChild(button);
      }
      list.appendChild(item);
    }
  }

  function cells(focused) {
    const map = $("map"), node = nodeAt(trail);
    map.replaceChildren(); inner = 0;
    const numberOf = new Map(node[3].map((child, number) => [child, number]));
    for (const [child, x, y, width, height] of layout(node[3], 0, 0, map.clientWidth, map.clientHeight)) {
      const number = numberOf.get(child), cell = element("button", undefined, isDirectory(child) ? "cell directory" : "cell");
      cell.type = "button"; cell.tabIndex = -1; cell.dataset.number = String(number);
      cell.style.background = colour(child[2]);
      const text = describe(child, [...trail, number]);
      cell.setAttribute("aria-label", (isDirectory(child) ? "directory " : "file ") + text); cell.title = text;
      place(cell, x, y, width, height);
      fill(cell, child, width, height);
      if (width > 2 * LABEL && height > LABEL) cell.appendChild(element("span", label(child), "label"));
      cell.addEventListener("click", () => open(number));
      cell.addEventListener("focus", () => { $("status").textContent = text; });
      map.appendChild(cell);
    }
    const first = [...map.children].find((cell) => cell.dataset.number === String(focused)) || map.firstChild;
    if (first) { first.tabIndex = 0; if (focused !== undefined) first.focus(); }
  }

  function rows() {
    const body = $("here").tBodies[0], node = nodeAt(trail);
    body.replaceChildren();
    node[3].slice(0, ROWS).forEach((child, number) => {
      const row = element("tr"), name = element("td");
      if (isDirectory(child)) {
        const button = element("button", child[0] + "/"); button.type = "button";
        button.addEventListener("click", () => open(number)); name.appendChild(button);
      } else name.textContent = child[0];
      row.append(name, element("td", bytes(child[1]), "number"),
        element("td", (100 * child[1] / (node[1] || 1)).toFixed(1) + " %", "number"), element("td", child[2] < 0 ? "" : String(child[2]), "number"));
      body.appendChild(row);
    });
  }

  function show(byKey) {
    const before = trail;
    trail = fromAddress();
    $("status").textContent = describe(nodeAt(trail), trail);
    crumbs(); rows();
    cells(byKey ? before[trail.length] || 0 : undefined);  // going up ends where one came from
  }

  function move(event) {
    const all = [...$("map").children], at = all.indexOf(document.activeElement);
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    let target = event.key === "Home" ? 0 : event.key === "End" ? all.length - 1 : step ? at + step : -1;
    if (at < 0 || target < 0 || target >= all.length) return;
    event.preventDefault();
    all[at].tabIndex = -1; all[target].tabIndex = 0; all[target].focus();
  }

  function tables() {
    const layers = $("layers").tBodies[0], wasted = $("wasted").tBodies[0];
    for (const layer of image.layers) {
      const row = element("tr"), name = element("td"), swatch = element("span", undefined, "swatch");
      swatch.style.background = colour(layer.number);
      name.append(swatch, String(layer.number));
      row.append(name, element("td", String(layer.files), "number"), element("td", bytes(layer.size), "number"),
        element("td", bytes(layer.compressed), "number"), element("td", bytes(layer.wasted), "number"), element("td", layer.by));
      layers.appendChild(row);
    }
    for (const [path, size, layer, how] of image.wasted) {
      const row = element("tr");
      row.append(element("td", path), element("td", bytes(size), "number"), element("td", String(layer), "number"), element("td", how));
      wasted.appendChild(row);
    }
    if (!image.wasted.length) $("wasted-section").hidden = true;
  }

  $("name").textContent = image.name;
  $("summary").textContent = bytes(image.size) + " of files in sight, " + bytes(image.total) + " in " + image.layers.length +
    " layers (" + bytes(image.compressed) + " compressed), " + bytes(image.lost) + " wasted; " + image.digest;
  tables();
  show();
  window.addEventListener("hashchange", () => { show(byKey); byKey = false; });
  $("map").addEventListener("keydown", (event) => {
    byKey = event.key === "Enter" || event.key === " " || event.key === "Escape" || event.key === "Backspace";
    if ((event.key === "Escape" || event.key === "Backspace") && trail.length) { event.preventDefault(); go(trail.slice(0, -1)); }
    else move(event);
  });
  window.addEventListener("resize", () => cells());
})();
