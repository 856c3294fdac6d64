const find = (id) => document.getElementById(id);
const percent = (share) => (share === null ? "" : `${(100 * share).toFixed(2)} %`);

function row(table, ...cells) {
  const made = table.tBodies[0].insertRow();
  for (const cell of cells) made.insertCell().append(cell);
}

function link(name) {
  const made = document.createElement("a");
  made.href = `/files/${name}`;
  made.textContent = name;
  return made;
}

const source = ({ name, sha256 }) => `${location.origin}/files/${name}#sha256=${sha256}`;

function showFiles(files) {
  find("files").tBodies[0].replaceChildren();
  for (const { name, bytes, accuracy, sha256 } of files) {
    row(find("files"), link(name), bytes.toLocaleString("en"), percent(accuracy), sha256);
  }
  const [model, data] = [files[0], files.at(-1)].map(source);
  find("command").textContent =
    `ape run build --onnx '${model}' --data '${data}' --name mnist`;
}

function show(state) {
  const { doing, problem, epoch, epochs, loss, accuracy, files } = state;
  find("state").textContent = problem ?? (files.length ? "The files are ready." : `Now ${doing} …`);
  find("state").classList.toggle("problem", problem !== undefined);
  find("progress").hidden = epochs === undefined;
  if (epochs !== undefined) Object.assign(find("progress"), { max: epochs, value: epoch });
  if (accuracy !== undefined) {
    find("epochs").hidden = false;
    row(find("epochs"), doing.split(" ").at(-1), `${epoch} of ${epochs}`, loss.toFixed(4), percent(accuracy));
  }
  find("ready").hidden = files.length === 0;
  if (files.length) showFiles(files);
}

const events = new EventSource("/events");
events.onopen = () => find("epochs").tBodies[0].replaceChildren(); // all states come again
events.onmessage = ({ data }) => show(JSON.parse(data));
events.onerror = () => {
  find("state").textContent = "The modeller does not answer: start it with `make modellers`.";
};
find("copy").onclick = () => navigator.clipboard.writeText(find("command").textContent);
