"use strict";
(() => {
  const film = JSON.parse(document.getElementById("film").textContent);
  const by = (id) => document.getElementById(id);
  const { rows, columns, frames } = film;
  const picture = by("picture").getContext("2d"), marks = by("marks").getContext("2d");
  const slider = by("frame"), boxes = [...by("classes").querySelectorAll("input[value]:not(#tips)")];
  const kept = new Map();  // pictures of the frames around the one that is shown
  let now = 1, timer = 0, found = new Uint8Array(0);  // the last one: labels of the frame that is shown

  if (columns < 512) for (const canvas of [by("picture"), by("marks")]) canvas.classList.add("small");

  function address(number) {
    return `${film.pictures[0]}/${String(number).padStart(film.digits, "0")}.${film.pictures[1]}`;
  }

  function fetched(number) {
    if (!kept.has(number)) {
      const image = new Image();
      image.onload = () => { if (number === now) paint(image); };
      image.onerror = () => { if (number === now) missing(number); };
      image.src = address(number);
      kept.set(number, image);
      if (kept.size > 40) kept.delete(kept.keys().next().value);
    }
    return kept.get(number);
  }

  function paint(image) {
    by("missing").hidden = true;
    picture.drawImage(image, 0, 0, columns, rows);
  }

  function missing(number) {
    picture.clearRect(0, 0, columns, rows);
    by("missing").hidden = false;
    by("missing").textContent = `The picture ${address(number)} is not beside this page.`;
  }

  function labels(number) {
    const bytes = Uint8Array.from(atob(film.runs[number - 1]), (c) => c.charCodeAt(0));
    const view = new DataView(bytes.buffer), map = new Uint8Array(rows * columns);
    for (let k = 0, at = 0; k < bytes.length; k += 4) {
      const run = view.getUint32(k, true), end = at + (run >>> 8);
      if (run & 255) map.fill(run & 255, at, end);
      at = end;
    }
    return map;
  }

  function draw(number) {
    found = labels(number);
    const shown = new Set(boxes.filter((b) => b.checked).map((b) => Number(b.value)));
    const image = marks.createImageData(columns, rows), data = image.data;
    for (let at = 0; at < found.length; at++) {
      const label = found[at];
      if (!label || !shown.has(label)) continue;
      const x = at % columns;
      const edge = x === 0 || x === columns - 1 || found[at - 1] !== label || found[at + 1] !== label ||
        found[at - columns] !== label || found[at + columns] !== label;
      data.set(film.classes[label - 1].colour, 4 * at);
      data[4 * at + 3] = edge ? 255 : 150;
    }
    marks.putImageData(image, 0, 0);
    if (by("tips").checked) film.tips.forEach((tips, k) => {
      const tip = tips[number - 1], label = film.tip_classes[k];
      if (tip && shown.has(label)) ring(tip, film.classes[label - 1].colour);
    });
  }

  function ring([x, y], colour) {
    const unit = Math.max(rows, columns) / 512;
    for (const [width, style] of [[4 * unit, "#000"], [2 * unit, `rgb(${colour.join(",")})`]]) {
      marks.lineWidth = width;
      marks.strokeStyle = style;
      marks.beginPath();
      marks.arc(x + 0.5, y + 0.5, 8 * unit, 0, 7);
      marks.stroke();
    }
  }

  function show(number) {
    now = Math.min(frames, Math.max(1, number));
    slider.value = now;
    const image = fetched(now);
    if (image.complete) { if (image.naturalWidth) paint(image); else missing(now); }
    for (let ahead = 1; ahead <= 8; ahead++) if (now + ahead <= frames) fetched(now + ahead);
    draw(now);
    by("number").textContent = `${now}/${frames}`;
    const seen = film.classes.filter((_, k) => film.probabilities[k][now - 1] !== null).map((one) => one.name);
    const text = `frame ${now} of ${frames}: ${seen.join(", ") || "nothing marked"}`;
    slider.setAttribute("aria-valuetext", text);
    if (!timer) by("here").textContent = text;
    boxes.forEach((box, k) => {
      const sure = film.probabilities[k][now - 1];
      box.closest("label").querySelector("output").textContent = sure === null ? "not here" : `${Math.round(100 * sure)} %`;
    });
    for (const cursor of document.querySelectorAll(".cursor")) {
      const x = 1000 * (now - 1) / Math.max(1, frames - 1);
      cursor.setAttribute("x1", x);
      cursor.setAttribute("x2", x);
    }
  }

  function play(wanted) {
    clearInterval(timer);
    timer = wanted ? setInterval(() => show(now < frames ? now + 1 : 1), 1000 / Number(by("speed").value)) : 0;
    by("play").textContent = wanted ? "Pause" : "Play";
    by("play").setAttribute("aria-pressed", String(wanted));
    if (!wanted) show(now);
  }

  slider.addEventListener("input", () => show(Number(slider.value)));
  by("back").addEventListener("click", () => show(now - 1));
  by("on").addEventListener("click", () => show(now + 1));
  by("play").addEventListener("click", () => play(!timer));
  by("speed").addEventListener("change", () => { if (timer) play(true); });
  by("classes").addEventListener("change", () => draw(now));
  by("strength").addEventListener("input", () => { by("marks").style.opacity = by("strength").value / 100; });
  by("marks").style.opacity = by("strength").value / 100;
  by("marks").addEventListener("pointermove", (event) => {
    const place = by("marks").getBoundingClientRect();
    const x = Math.floor((event.clientX - place.left) / place.width * columns);
    const y = Math.floor((event.clientY - place.top) / place.height * rows);
    const label = found[y * columns + x];
    by("marks").title = label ? film.classes[label - 1].name : "";
  });
  for (const chart of document.querySelectorAll(".plot svg")) chart.addEventListener("click", (event) => {
    const place = chart.getBoundingClientRect();
    show(1 + Math.round((event.clientX - place.left) / place.width * (frames - 1)));
  });
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const inside = event.target.closest("button, select, input");
    if (event.key === " " && !inside) { event.preventDefault(); play(!timer); }
    else if (event.key === "ArrowRight" && !inside) show(now + 1);
    else if (event.key === "ArrowLeft" && !inside) show(now - 1);
    else if (/^[1-9]$/.test(event.key) && boxes[event.key - 1]) boxes[event.key - 1].click();
  });
  show(1);
})();
