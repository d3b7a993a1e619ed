// Sealgate's verdicts in OHIF: words in the corner of each image, tampered tiles outlined, a notice when a study opens
// with anything wrong, and a column in the list. OHIF loads this file as an extension. It has no build step.

// Private elements that the gateway adds to metadata on the way out (docs/dicomweb.md).
const VERDICT = '00991001';
const WORDS = '00991002';
const TILES = '00991003';

const RENDERED = 'CORNERSTONE_IMAGE_RENDERED';
const COLOURS = { good: '#4ade80', doubtful: '#fbbf24', bad: '#ff6b6b' };
// What is not in the table is bad: also that there is no verdict at all.
const GRADES = {
  intact: 'good',
  transcoded: 'good',
  amended: 'good',
  lossy: 'doubtful',
  stripped: 'doubtful',
  unsealed: 'doubtful',
};
const SIGNS = { good: '✓', doubtful: '!', bad: '✗' };
const ORDER = ['bad', 'doubtful', 'good'];

const text = value => (Array.isArray(value) ? value.join(' ') : value === undefined || value === null ? '' : String(value));
const verdictOf = instance => text(instance?.[VERDICT]) || 'not verified';
const gradeOf = verdict => GRADES[verdict] || 'bad';

const signed = verdict => `${SIGNS[gradeOf(verdict)]} ${verdict}`;

// ---- words in the corner

// The corner has room for some words a line.
const LINE_CHARACTERS = 48;
const LINES = 4;

const linesOf = words => {
  const lines = [''];
  for (const word of words.split(' ').filter(Boolean)) {
    if (`${lines.at(-1)} ${word}`.trim().length > LINE_CHARACTERS) {
      lines.push('');
    }
    lines.push(`${lines.pop()} ${word}`.trim());
  }
  return lines.slice(0, LINES);
};

// The first line is the verdict, the others say why. An item has one colour.
const cornerLine = (instance, line) => {
  const verdict = verdictOf(instance);
  const words = gradeOf(verdict) === 'good' ? '' : text(instance?.[WORDS]);
  return [`Seal: ${signed(verdict)}`, ...linesOf(words)][line] || '';
};

const cornerItem = (grade, line) => ({
  id: `sealgate-${grade}-${line}`,
  inheritsFrom: 'ohif.overlayItem',
  title: 'What the seal of this image says',
  color: COLOURS[grade],
  condition: ({ instance }) =>
    Boolean(instance) && gradeOf(verdictOf(instance)) === grade && Boolean(cornerLine(instance, line)),
  contentF: ({ instance }) => cornerLine(instance, line),
});

const cornerItems = () => ORDER.flatMap(grade => Array.from({ length: LINES + 1 }, (_, line) => cornerItem(grade, line)));

// ---- tampered tiles

const tilesOf = (instance, frame) => {
  let tiles = [];
  try {
    tiles = JSON.parse(text(instance?.[TILES]) || '[]');
  } catch {
    return [];
  }
  return tiles.filter(tile => Array.isArray(tile) && tile.length === 5 && tile[0] === frame);
};

const instancesOf = displaySetService =>
  displaySetService.getActiveDisplaySets().flatMap(set => set.instances || set.images || (set.instance ? [set.instance] : []));

const shownImage = viewport => {
  const imageId = viewport.getCurrentImageId?.() || '';
  const found = /\/instances\/([0-9.]+)(?:\/frames\/([0-9]+))?/.exec(imageId);
  return found ? { uid: found[1], frame: Number(found[2] || 1) - 1 } : null;
};

// Pixel borders in an image -> the corners of a polygon on the canvas.
const corners = (viewport, data, [, row, column, height, width]) => {
  const { origin, direction, spacing } = data;
  return [[0, 0], [0, 1], [1, 1], [1, 0]].map(([down, right]) => {
    const x = (column + right * width - 0.5) * spacing[0];
    const y = (row + down * height - 0.5) * spacing[1];
    const world = [0, 1, 2].map(axis => origin[axis] + x * direction[axis] + y * direction[3 + axis]);
    return viewport.worldToCanvas(world).join(',');
  });
};

const SVG = 'http://www.w3.org/2000/svg';

const drawTiles = (viewport, element, displaySetService) => {
  element.querySelector(':scope > svg.sealgate-tiles')?.remove();
  const image = viewport.type === 'stack' ? shownImage(viewport) : null;
  const data = image && viewport.getImageData?.();
  if (!data) {
    return;
  }
  const instance = instancesOf(displaySetService).find(each => each.SOPInstanceUID === image.uid);
  const tiles = tilesOf(instance, image.frame);
  if (tiles.length === 0) {
    return;
  }
  const drawing = document.createElementNS(SVG, 'svg');
  drawing.setAttribute('class', 'sealgate-tiles');
  drawing.setAttribute('role', 'img');
  drawing.setAttribute('aria-label', `${tiles.length} parts of the pixels changed`);
  drawing.style.cssText = 'position:absolute;inset:0;width:100%;height:100%;pointer-events:none';
  for (const tile of tiles) {
    const polygon = document.createElementNS(SVG, 'polygon');
    polygon.setAttribute('points', corners(viewport, data, tile).join(' '));
    polygon.setAttribute('fill', 'none');
    polygon.setAttribute('stroke', COLOURS.bad);
    polygon.setAttribute('stroke-width', '2');
    drawing.appendChild(polygon);
  }
  element.appendChild(drawing);
};

const watchViewports = ({ cornerstoneViewportService, displaySetService }) => {
  const watched = new WeakSet();
  const watch = ({ viewportId }) => {
    const viewport = cornerstoneViewportService.getCornerstoneViewport(viewportId);
    if (!viewport?.element || watched.has(viewport.element)) {
      return;
    }
    watched.add(viewport.element);
    const draw = () => {
      const current = cornerstoneViewportService.getCornerstoneViewport(viewportId);
      if (current) {
        drawTiles(current, viewport.element, displaySetService);
      }
    };
    viewport.element.addEventListener(RENDERED, draw);
    draw();
  };
  return cornerstoneViewportService.subscribe(cornerstoneViewportService.EVENTS.VIEWPORT_DATA_CHANGED, watch);
};

// ---- the notice

const counted = verdicts => {
  const counts = new Map();
  for (const verdict of verdicts) {
    counts.set(verdict, (counts.get(verdict) || 0) + 1);
  }
  return [...counts]
    .sort(([one], [other]) => ORDER.indexOf(gradeOf(one)) - ORDER.indexOf(gradeOf(other)))
    .map(([verdict, count]) => `${count} ${verdict}`)
    .join(', ');
};

// OHIF's own notices close, and get lost while it starts.
const NOTICE = 'sealgate-notice';

const removeNotice = () => document.getElementById(NOTICE)?.remove();

const showNotice = lines => {
  removeNotice();
  const notice = document.createElement('div');
  notice.id = NOTICE;
  notice.setAttribute('role', 'alert');
  notice.style.cssText =
    'position:fixed;top:8px;left:50%;transform:translateX(-50%);z-index:9999;max-width:60vw;padding:10px 16px;' +
    'border-radius:6px;background:#7f1d1d;color:#fff;font:15px sans-serif;display:flex;gap:16px;align-items:center';
  const words = document.createElement('div');
  for (const line of lines) {
    const paragraph = document.createElement('div');
    paragraph.textContent = line;
    words.appendChild(paragraph);
  }
  const close = document.createElement('button');
  close.type = 'button';
  close.textContent = 'I have seen it';
  close.style.cssText = 'border:1px solid #fff;border-radius:4px;padding:4px 10px;background:none;color:#fff;white-space:nowrap';
  close.addEventListener('click', removeNotice);
  notice.append(words, close);
  document.body.appendChild(notice);
};

const watchStudies = ({ displaySetService }) => {
  let told = '';
  const tell = () => {
    const images = new Map(instancesOf(displaySetService).map(instance => [instance.SOPInstanceUID, instance]));
    const wrong = [...images.values()].filter(instance => gradeOf(verdictOf(instance)) !== 'good');
    const message = counted(wrong.map(verdictOf));
    if (message && message !== told) {
      told = message;
      const bad = wrong.some(instance => gradeOf(verdictOf(instance)) === 'bad');
      showNotice([
        bad ? 'Stop: images of this study were changed, or nobody knows.' : 'Not all images of this study are proven.',
        `${message} (of ${images.size} images)`,
      ]);
    }
  };
  tell();
  return displaySetService.subscribe(displaySetService.EVENTS.DISPLAY_SETS_ADDED, tell);
};

// ---- the list of studies

const fillCell = async (cell, study, authorization) => {
  const answer = await fetch(`/api/v1/findings/studies/${encodeURIComponent(study)}?known=1`, { headers: authorization() });
  if (!answer.ok) {
    return;
  }
  const { verdict, counts } = await answer.json();
  if (!verdict) {
    return;
  }
  const seen = Object.values(counts).reduce((sum, count) => sum + count, 0);
  cell.textContent = `${signed(verdict)} (${seen} seen)`;
  cell.style.color = COLOURS[gradeOf(verdict)];
  const each = Object.entries(counts).map(([name, count]) => `${count} ${name}`).join(', ');
  cell.title = `When they were last looked at: ${each}`;
};

// The cell of another column tells what OHIF makes its cells of; React itself is not given to extensions.
const sealColumn = (columns, authorization) => {
  const like = columns.find(column => column.id === 'description') || columns[0];
  return {
    id: 'sealgate',
    accessorFn: () => '',
    header: like.header,
    enableSorting: false,
    cell: ({ row }) => {
      const study = row.original?.studyInstanceUid;
      const model = like.cell({ row: { ...row, getValue: () => '' } });
      const fill = cell => {
        if (cell && study && cell.dataset.study !== study) {
          cell.dataset.study = study;
          cell.textContent = 'not yet verified';
          fillCell(cell, study, authorization).catch(() => undefined);
        }
      };
      return { ...model, ref: fill, props: { ...model.props, children: undefined, ref: fill } };
    },
    meta: { label: 'Seal', minWidth: 190, priority: 95 },
  };
};

const withSeal = (columns, authorization) => {
  if (!Array.isArray(columns) || columns.some(column => column.id === 'sealgate')) {
    return columns;
  }
  const at = Math.max(columns.findIndex(column => column.id === 'description'), 0);
  return [...columns.slice(0, at), sealColumn(columns, authorization), ...columns.slice(at)];
};

// OHIF forgets who listens to its services when a mode ends.
let subscriptions = [];

export default {
  id: 'sealgate',
  onModeEnter({ servicesManager }) {
    const { services } = servicesManager;
    subscriptions = [watchStudies(services), watchViewports(services)];
  },
  onModeExit() {
    subscriptions.forEach(subscription => subscription.unsubscribe());
    subscriptions = [];
    removeNotice();
  },
  getCustomizationModule({ servicesManager }) {
    const authorization = () => servicesManager.services.userAuthenticationService?.getAuthorizationHeader?.() || {};
    return [
      {
        name: 'default',
        value: {
          'viewportOverlay.topLeft': { $push: cornerItems() },
          // A tour of the tools would lie over the notice.
          'ohif.tours': { $set: [] },
        },
      },
      {
        name: 'global',
        value: { 'workList.columns': { $apply: columns => withSeal(columns, authorization) } },
      },
    ];
  },
};
