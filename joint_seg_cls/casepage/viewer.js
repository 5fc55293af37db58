"use strict";
// The viewer, its controls, and the links between it and the rows of the lesion table.
(() => {
  const section = document.getElementById("viewer");
  if (!section) return;
  const page = JSON.parse(document.getElementById("page-data").textContent);
  const position = document.getElementById("position");
  const rows = [...document.querySelectorAll("tr[data-lesion]")];
  const opacity = document.getElementById("opacity");
  const frame = section.querySelector(".canvas");
  const controls = section.querySelector(".controls");
  const black = document.getElementById("black");
  const white = document.getElementById("white");
  const overlays = [...section.querySelectorAll("[data-volume]")];
  const views = [...section.querySelectorAll("[data-view]")];
  const choices = [...section.querySelectorAll("[data-image]")];
  let nv = null; // the viewer; null while there is none
  let place = page.start; // the crosshair in millimetres
  const images = new Map(); // voxels and window of each modality, which share one grid

  const choose = (lesion, isSeen) => {
    for (const row of rows) {
      const isChosen = Number(row.dataset.lesion) === lesion;
      row.classList.toggle("chosen", isChosen);
      if (isChosen) row.setAttribute("aria-current", "true");
      else row.removeAttribute("aria-current");
      const box = row.closest(".scroll");
      if (isChosen && !isSeen && box.scrollHeight > box.clientHeight) {
        box.scrollTop += row.getBoundingClientRect().top - box.getBoundingClientRect().top - box.clientHeight / 2;
      }
    }
    const slices = [...document.querySelectorAll(".slice")];
    for (const slice of slices) {
      slice.classList.toggle("chosen", lesion > 0 && slice.dataset.lesions.split(" ").includes(String(lesion)));
    }
    return slices.find((slice) => slice.classList.contains("chosen"));
  };

  const moveTo = (lesion) => {
    const slice = choose(lesion, true);
    if (!nv) {
      slice?.scrollIntoView({ block: "center" }); // without the viewer, the slices show the lesion
      return;
    }
    if (!page.lesions[lesion - 1]?.length) return; // drawn at neither visit
    nv.scene.crosshairPos = nv.mm2frac(page.lesions[lesion - 1], 0, true);
    nv.drawScene();
    nv.createOnLocationChange();
    if (window.innerWidth < 960) section.scrollIntoView({ block: "start" });
  };

  for (const row of rows) {
    row.addEventListener("click", () => moveTo(Number(row.dataset.lesion)));
    row.addEventListener("keydown", (event) => {
      const step = { ArrowDown: "nextElementSibling", ArrowUp: "previousElementSibling" }[event.key];
      const next = step && row[step]?.querySelector(".jump");
      if (!next) return;
      event.preventDefault();
      next.focus();
      next.click();
    });
  }

  const bytesOf = (id) => {
    const text = atob(document.getElementById(id).textContent.trim());
    return Uint8Array.from(text, (letter) => letter.charCodeAt(0));
  };
  const inflated = (bytes) => new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip")));

  const open = async () => {
    if (!document.createElement("canvas").getContext("webgl2")) throw new Error("this browser has no WebGL 2");
    if (!window.niivue.Niivue) { // at first the element of this id
      const script = document.createElement("script");
      script.textContent = await inflated(bytesOf("niivue")).text();
      document.head.append(script);
    }
    const { Niivue, NVImage } = window.niivue;
    const TRANSLUCENT_BELOW_MIN = 1; // what the renderer of 0.69 tests; opacity is the square of value / minimum
    const opened = new Niivue({
      logLevel: "error", backColor: [0, 0, 0, 1], crosshairColor: [0.35, 0.7, 1, 0.9], crosshairWidth: 0.6, crosshairWidthUnit: "mm",
      crosshairGap: 8, fontMinPx: 12,
      fontColor: [0.85, 0.88, 0.9, 1], isRadiologicalConvention: false, sagittalNoseLeft: false, scrollRequiresFocus: true,
      multiplanarShowRender: 0, multiplanarPadPixels: 4, dragMode: 3, dragAndDropEnabled: false, isResizeCanvas: true,
    });
    const canvas = document.getElementById("canvas");
    canvas.addEventListener("webglcontextlost", (event) => {
      event.preventDefault(); // else it is never restored
      if (canvas.isConnected) stop("The browser has stopped the interactive viewer.");
    });
    canvas.addEventListener("webglcontextrestored", () => canvas.isConnected && start());
    await opened.attachToCanvas(canvas);
    for (const volume of page.volumes) {
      if (volume.colours && volume.key !== "lesions") opened.addColormap(volume.key, volume.colours);
      const image = await NVImage.loadFromBase64({
        base64: document.getElementById(`volume-${volume.key}`).textContent.trim(), name: `${volume.key}.nii.gz`,
        colormap: volume.colours && volume.key !== "lesions" ? volume.key : "gray", opacity: volume.is_image ? 1 : volume.is_visible ? opacity.value / 100 : 0,
        cal_min: volume.levels[0], cal_max: volume.levels[1],
      });
      if (volume.key === "lesions") image.setColormapLabel(volume.colours);
      else if (volume.colours) image.colormapType = TRANSLUCENT_BELOW_MIN;
      if (volume.is_image) images.set(volume.key, { voxels: image.img, levels: volume.levels });
      if (!volume.is_image || volume.is_visible) opened.addVolume(image);
    }
    opened.setAtlasOutline(1);
    return opened;
  };

  const stop = (reason) => {
    nv = null;
    section.classList.add("unavailable");
    position.textContent = `${reason} The key slices below show the same findings. `;
    const again = document.createElement("button");
    again.type = "button";
    again.id = "again";
    again.textContent = "Start the viewer again";
    again.addEventListener("click", start);
    position.append(again);
    document.documentElement.dataset.viewer = "unavailable";
  };

  const indexOf = (key) => nv.volumes.findIndex((volume) => volume.name === `${key}.nii.gz`);
  const valueAt = (location, key) => location.values.find((each) => each.name === `${key}.nii.gz`)?.value;
  const located = (location) => {
    place = location.mm;
    const [x, y, z] = location.mm.map((value) => Math.round(value));
    const lesion = Math.round(valueAt(location, "lesions") ?? 0);
    const parts = [`x ${x}, y ${y}, z ${z} mm`];
    if (lesion) parts.push(page.names[lesion - 1]);
    const probability = valueAt(location, "probability");
    if (probability !== undefined) parts.push(`lesion probability ${(probability / 255).toFixed(2)}`);
    position.textContent = parts.join(" · ");
    choose(lesion, false);
  };

  const drawOverlays = () => {
    for (const box of overlays) {
      nv.volumes[indexOf(box.dataset.volume)].opacity = box.checked ? Number(opacity.value) / 100 : 0;
    }
    nv.updateGLVolume();
  };
  for (const control of [...overlays, opacity]) control.addEventListener("input", drawOverlays);

  const setWindow = (low, high) => {
    const image = nv.volumes[0];
    black.value = low;
    white.value = high;
    image.cal_min = Number(low);
    image.cal_max = Math.max(Number(high), Number(low) + 1);
    nv.updateGLVolume();
  };
  const chosenImage = () => images.get(choices.find((choice) => choice.checked)?.dataset.image ?? "image");
  const showImage = () => {
    nv.volumes[0].img = chosenImage().voxels;
    setWindow(...chosenImage().levels);
  };
  for (const choice of choices) choice.addEventListener("input", showImage);
  black.addEventListener("input", () => setWindow(black.value, Math.max(Number(white.value), Number(black.value) + 1)));
  white.addEventListener("input", () => setWindow(Math.min(Number(black.value), Number(white.value) - 1), white.value));
  document.getElementById("window-reset").addEventListener("click", () => setWindow(...chosenImage().levels));

  const AXIAL = 0, CORONAL = 1, SAGITTAL = 2, THREE_PLANES = 3;
  const arrange = () => {
    if (!nv) return;
    const view = Number(views.find((button) => button.getAttribute("aria-pressed") === "true").dataset.view);
    const { clientWidth: width, clientHeight: height } = document.getElementById("canvas");
    if (view !== THREE_PLANES) nv.setCustomLayout([{ sliceType: view, position: [0, 0, 1, 1] }]);
    else if (width > height) {
      nv.setCustomLayout([
        { sliceType: AXIAL, position: [0, 0, 0.56, 1] },
        { sliceType: CORONAL, position: [0.56, 0, 0.44, 0.5] },
        { sliceType: SAGITTAL, position: [0.56, 0.5, 0.44, 0.5] },
      ]);
    } else {
      nv.setCustomLayout([
        { sliceType: AXIAL, position: [0, 0, 1, 0.64] },
        { sliceType: CORONAL, position: [0, 0.64, 0.46, 0.36] },
        { sliceType: SAGITTAL, position: [0.46, 0.64, 0.54, 0.36] },
      ]);
    }
  };
  for (const button of views) {
    button.addEventListener("click", () => {
      for (const other of views) other.setAttribute("aria-pressed", String(other === button));
      arrange();
    });
  }
  window.addEventListener("resize", arrange);

  frame.addEventListener("keydown", (event) => {
    const step = {
      ArrowLeft: [-1, 0, 0], ArrowRight: [1, 0, 0], ArrowUp: [0, 1, 0], ArrowDown: [0, -1, 0],
      PageUp: [0, 0, 1], PageDown: [0, 0, -1],
    }[event.key];
    if (!step || !nv) return;
    event.preventDefault();
    nv.moveCrosshairInVox(...step);
    nv.createOnLocationChange();
  });

  const start = async () => {
    section.classList.remove("unavailable");
    controls.inert = true;
    position.textContent = "Loading the viewer …";
    const fresh = document.getElementById("canvas").cloneNode(); // a canvas keeps its lost context
    frame.replaceChildren(fresh);
    try {
      const opened = await open();
      if (opened.gl.isContextLost()) throw new Error("the browser has stopped it");
      nv = opened;
    } catch (error) {
      stop(`The interactive viewer needs WebGL 2 (${error.message}).`);
      return;
    }
    nv.onLocationChange = located;
    showImage();
    drawOverlays();
    arrange();
    if (place) nv.scene.crosshairPos = nv.mm2frac(place, 0, true);
    nv.drawScene();
    nv.createOnLocationChange();
    controls.inert = false;
    document.documentElement.dataset.viewer = "ready";
  };
  start();
})();
