// The verification page. No build step, no other host; what is chosen stays in this page.

const GRADES = { intact: 'good', transcoded: 'good', amended: 'good', lossy: 'doubtful', stripped: 'doubtful', unsealed: 'doubtful' };
const SIGNS = { good: '✓', doubtful: '!', bad: '✗' };
const RANK = ['bad', 'doubtful', 'good'];
// Files that are looked at in one go.
const FILES_MAX = 2000;
const CHECK_SIGNS = new Map([[true, '✓'], [false, '✗']]);

const gradeOf = verdict => GRADES[verdict] || 'bad';
const part = id => document.getElementById(id);
const words = await (await fetch('/verify/words.json')).json();
const wordsOf = entry => entry.words || words[entry.verdict] || 'it could not be verified';

let entries = [];
let chosen = null;
let run = 0;

const element = (name, text, className) => {
  const made = document.createElement(name);
  made.textContent = text;
  if (className) {
    made.className = className;
  }
  return made;
};

const authorization = () => {
  const token = part('token').value.trim();
  return token ? { Authorization: `Bearer ${token}` } : {};
};

const ask = async (path, file) => {
  const options = file
    ? { method: 'POST', body: file, headers: { ...authorization(), 'Content-Type': 'application/dicom' } }
    : { headers: authorization() };
  const answer = await fetch(path, options);
  if (!answer.ok) {
    const told = await answer.json().catch(() => ({}));
    throw new Error([told.message || told.error || `status ${answer.status}`, told.hint].filter(Boolean).join('. '));
  }
  return answer;
};

const say = text => {
  part('status').textContent = text;
};

// ---- the list

const summary = () => {
  const counts = new Map();
  entries.forEach(entry => counts.set(entry.verdict, (counts.get(entry.verdict) || 0) + 1));
  return [...counts].map(([verdict, count]) => `${count} ${verdict}`).join(', ');
};

const list = () => {
  entries.sort((one, other) => RANK.indexOf(gradeOf(one.verdict)) - RANK.indexOf(gradeOf(other.verdict)));
  const rows = entries.map(entry => {
    const row = document.createElement('tr');
    const grade = gradeOf(entry.verdict);
    row.tabIndex = 0;
    row.setAttribute('aria-selected', String(entry === chosen));
    row.append(
      element('td', `${SIGNS[grade]} ${entry.verdict}`, grade),
      element('td', entry.name),
      element('td', wordsOf(entry)),
    );
    row.addEventListener('click', () => choose(entry));
    row.addEventListener('keydown', event => {
      if (event.key === 'Enter' || event.key === ' ') {
        event.preventDefault();
        choose(entry);
      }
    });
    return row;
  });
  part('results').tBodies[0].replaceChildren(...rows);
  part('results').hidden = entries.length === 0;
};

// ---- one of them

const shown = value => (value === null || value === undefined || value === '' ? 'nothing' : String(value));

const fillTable = report => {
  const rows = (report.header_differences || []).map(difference => {
    const row = document.createElement('tr');
    row.append(
      element('td', `${difference.keyword}${difference.class ? ` (${difference.class})` : ''}`),
      element('td', shown('sealed' in difference ? difference.sealed : difference.hidden)),
      element('td', shown(difference.header)),
    );
    return row;
  });
  part('differences').tBodies[0].replaceChildren(...rows);
  part('differences-part').hidden = rows.length === 0;
};

const outlined = (image, tiles) => {
  const drawing = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
  drawing.setAttribute('viewBox', `0 0 ${image.naturalWidth} ${image.naturalHeight}`);
  drawing.setAttribute('preserveAspectRatio', 'none');
  drawing.setAttribute('aria-hidden', 'true');
  for (const [, row, column, height, width] of tiles) {
    const rectangle = document.createElementNS('http://www.w3.org/2000/svg', 'rect');
    Object.entries({ x: column, y: row, width, height }).forEach(([name, value]) => rectangle.setAttribute(name, value));
    drawing.appendChild(rectangle);
  }
  return drawing;
};

const draw = async entry => {
  const tiles = entry.report.tampered_tiles || [];
  const frame = tiles.length ? tiles[0][0] : 0;
  const here = tiles.filter(tile => tile[0] === frame);
  part('picture').replaceChildren();
  part('tiles').textContent = 'No picture.';
  let answer;
  try {
    answer = await (entry.file ? ask(`/api/v1/picture?frame=${frame + 1}`, entry.file) : ask(`${entry.address}/frames/${frame + 1}/rendered`));
  } catch (error) {
    if (entry === chosen) {
      part('tiles').textContent = `No picture: ${error.message}`;
    }
    return;
  }
  const image = new Image();
  image.alt = tiles.length ? `Frame ${frame + 1}, with ${here.length} changed tiles outlined` : `Frame ${frame + 1}`;
  image.src = URL.createObjectURL(await answer.blob());
  await image.decode();
  URL.revokeObjectURL(image.src);
  if (entry !== chosen) {
    return;
  }
  part('picture').replaceChildren(image, outlined(image, here));
  part('tiles').textContent = tiles.length
    ? `Frame ${frame + 1}: ${here.length} tiles changed (${tiles.length} in all frames).`
    : `Frame ${frame + 1}: no tile is known to be changed.`;
};

const choose = entry => {
  chosen = entry;
  list();
  const { report } = entry;
  const grade = gradeOf(entry.verdict);
  const verdict = part('verdict');
  verdict.className = grade;
  verdict.textContent = `${SIGNS[grade]} ${entry.verdict}: ${wordsOf(entry)}. ${entry.name}`;
  part('checks').replaceChildren(
    ...(report.checks || []).toSorted((one, other) => one.n - other.n).map(check => {
      const item = element('li', `${CHECK_SIGNS.get(check.ok) || '–'} ${check.name}${check.detail ? `: ${check.detail}` : ''}`);
      item.value = check.n;
      item.className = check.ok === false ? 'bad' : '';
      return item;
    }),
  );
  fillTable(report);
  const amendments = (report.amendments || []).map(amendment => element('li', Object.entries(amendment).map(([name, value]) => `${name} ${value}`).join(', ')));
  part('amendments').replaceChildren(...amendments);
  part('amendments-part').hidden = amendments.length === 0;
  part('save-pdf').hidden = !entry.file;
  part('detail').hidden = false;
  part('detail').focus();
  draw(entry);
};

// ---- looking

const look = async files => {
  const mine = ++run;
  const some = [...files].slice(0, FILES_MAX);
  entries = [];
  chosen = null;
  part('detail').hidden = true;
  for (const [number, file] of some.entries()) {
    say(`Looking at ${number + 1} of ${some.length} …`);
    let report;
    try {
      report = await (await ask('/api/v1/verify', file)).json();
    } catch (error) {
      report = { verdict: 'not looked at', checks: [], words: error.message };
    }
    if (mine !== run) {
      return;
    }
    entries.push({ name: file.webkitRelativePath || file.name, verdict: report.verdict, words: report.words, report, file });
    list();
  }
  const left = files.length - some.length;
  say(`${entries.length} files: ${summary()}${left > 0 ? `. ${left} more were left out` : ''}.`);
};

const lookUp = async study => {
  const mine = ++run;
  entries = [];
  chosen = null;
  part('detail').hidden = true;
  list();
  say('Asking the archive …');
  try {
    const findings = await (await ask(`/api/v1/findings/studies/${encodeURIComponent(study)}`)).json();
    if (mine !== run) {
      return;
    }
    entries = findings.instances.map(finding => ({
      name: `Series ${finding.series_number || '?'}, image ${finding.instance_number || '?'}`,
      verdict: finding.verdict,
      words: finding.words,
      report: finding,
      address: `/dicom-web/studies/${finding.study_instance_uid}/series/${finding.series_instance_uid}/instances/${finding.sop_instance_uid}`,
    }));
    list();
    say(`${entries.length} images: ${summary()}.`);
  } catch (error) {
    say(`The study was not looked up: ${error.message}`);
  }
};

// ---- what people do

const inFolder = async entry => {
  if (entry.isFile) {
    return [await new Promise((resolve, reject) => entry.file(resolve, reject))];
  }
  const reader = entry.createReader();
  const found = [];
  for (;;) {
    const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (some.length === 0) {
      return found;
    }
    for (const inside of some) {
      found.push(...(await inFolder(inside)));
    }
  }
};

const save = (content, name) => {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(content);
  link.download = name;
  link.click();
  URL.revokeObjectURL(link.href);
};

const drop = part('drop');
drop.addEventListener('dragover', event => {
  event.preventDefault();
  drop.classList.add('over');
});
drop.addEventListener('dragleave', () => drop.classList.remove('over'));
drop.addEventListener('drop', async event => {
  event.preventDefault();
  drop.classList.remove('over');
  const roots = [...event.dataTransfer.items].map(item => item.webkitGetAsEntry()).filter(Boolean);
  const found = [];
  for (const root of roots) {
    found.push(...(await inFolder(root)));
  }
  look(found);
});
// A file that misses the field must not open in its place.
['dragover', 'drop'].forEach(name => window.addEventListener(name, event => event.preventDefault()));
['files', 'folder'].forEach(id => part(id).addEventListener('change', event => look(event.target.files)));
part('lookup').addEventListener('submit', event => {
  event.preventDefault();
  const study = part('study').value.trim();
  if (study) {
    lookUp(study);
  }
});
part('save-json').addEventListener('click', () => {
  const { path, words: _words, ...report } = chosen.report;
  save(new Blob([JSON.stringify(report, null, 2)], { type: 'application/json' }), 'seal-report.json');
});
part('save-pdf').addEventListener('click', async () => {
  try {
    save(await (await ask('/api/v1/report', chosen.file)).blob(), 'seal-report.pdf');
  } catch (error) {
    say(`No report: ${error.message}`);
  }
});
