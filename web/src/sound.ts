// Recordings: from the microphone, for the hub, and as a spectrogram.
import type { Picture } from "./hub";
import { make } from "./page";
import { type Phrase, RATE as HEARD, brightness } from "./phrase";
import { Refusal } from "./refusal";

const LARGEST = 9_000_000; // bytes of a file, which the hub takes in base64
const RATE = 48_000; // samples per second of what the browser decodes
const LONGEST = 5; // seconds; the model rates the first three from the onset of the voice

/** Records until `stop` aborts or five seconds have passed. `level` gets the loudness and the seconds left. */
export async function record(level: (loudness: number, left: number) => void, stop: AbortSignal): Promise<Blob> {
  let stream: MediaStream;
  try {
    stream = await navigator.mediaDevices.getUserMedia({
      audio: { echoCancellation: false, noiseSuppression: false, autoGainControl: false },
    });
  } catch {
    throw new Refusal("This page cannot use a microphone: allow it in the browser, or drop a recording.");
  }
  const context = new AudioContext();
  const meter = context.createAnalyser();
  context.createMediaStreamSource(stream).connect(meter);
  const recorder = new MediaRecorder(stream);
  const parts: Blob[] = [];
  recorder.addEventListener("dataavailable", (event) => parts.push(event.data));
  const over = new Promise<void>((resolve) => recorder.addEventListener("stop", () => resolve()));
  const window_ = new Float32Array(meter.fftSize);
  const began = performance.now();
  const look = setInterval(() => {
    meter.getFloatTimeDomainData(window_);
    const left = LONGEST - (performance.now() - began) / 1000;
    level(Math.max(...window_.map(Math.abs)), Math.max(left, 0));
    if ((left <= 0 || stop.aborted) && recorder.state === "recording") recorder.stop();
  }, 50);
  recorder.start();
  await over;
  clearInterval(look);
  for (const track of stream.getTracks()) track.stop();
  await context.close();
  return wav(await decoded(new Blob(parts)));
}

/** A recording in a format that the hub reads; others are decoded by the browser. */
export async function readable(file: File): Promise<Blob> {
  if (file.size > LARGEST)
    throw new Refusal(`${file.name} is larger than 9 MB: cut it to one phrase.`);
  if (/\.(wav|flac|ogg)$/i.test(file.name)) return file;
  const audio = await decoded(file).catch(() => {
    throw new Refusal(`This browser cannot read ${file.name}: save it as wav, flac or ogg.`);
  });
  if (audio.duration > 30) throw new Refusal(`${file.name} is longer than 30 seconds: cut it to one phrase.`);
  return wav(audio);
}

/** A recording, decoded by the browser. */
async function decoded(file: Blob, rate = RATE): Promise<AudioBuffer> {
  return new OfflineAudioContext(1, 1, rate).decodeAudioData(await file.arrayBuffer());
}

/** The samples of a recording for the model, the mean of all channels. */
export async function monoOf(file: Blob): Promise<Float32Array> {
  const audio = await decoded(file, HEARD).catch(() => {
    throw new Refusal("This browser cannot read the recording: save it as wav.");
  });
  const channels = Array.from({ length: audio.numberOfChannels }, (_, at) => audio.getChannelData(at));
  return Float32Array.from({ length: audio.length }, (_, at) => channels.reduce((sum, one) => sum + one[at]!, 0) / channels.length);
}

/** The picture of a phrase. */
export function pictureOf(heard: Phrase): Picture {
  return { width: heard.width, height: heard.height, levels: btoa(String.fromCharCode(...brightness(heard))) };
}

/** The first channel as a 16-bit WAV file. */
function wav(audio: AudioBuffer): Blob {
  const samples = audio.getChannelData(0);
  const bytes = new DataView(new ArrayBuffer(44 + samples.length * 2));
  const text = (at: number, word: string) => [...word].forEach((c, i) => bytes.setUint8(at + i, c.charCodeAt(0)));
  text(0, "RIFF");
  bytes.setUint32(4, 36 + samples.length * 2, true);
  text(8, "WAVEfmt ");
  bytes.setUint32(16, 16, true);
  bytes.setUint16(20, 1, true);
  bytes.setUint16(22, 1, true);
  bytes.setUint32(24, audio.sampleRate, true);
  bytes.setUint32(28, audio.sampleRate * 2, true);
  bytes.setUint16(32, 2, true);
  bytes.setUint16(34, 16, true);
  text(36, "data");
  bytes.setUint32(40, samples.length * 2, true);
  samples.forEach((sample, i) => bytes.setInt16(44 + i * 2, Math.round(Math.max(-1, Math.min(1, sample)) * 32767), true));
  return new Blob([bytes], { type: "audio/wav" });
}

/** A file in base64, for the hub. */
export async function base64(file: Blob): Promise<string> {
  const bytes = new Uint8Array(await file.arrayBuffer());
  let text = "";
  for (let at = 0; at < bytes.length; at += 0x8000) text += String.fromCharCode(...bytes.subarray(at, at + 0x8000));
  return btoa(text);
}

// From soft to loud, and from dark to light: readable without colour vision.
const COLOURS = [[13, 8, 35], [80, 18, 123], [182, 54, 121], [251, 136, 97], [252, 253, 191]] as const;

/** A spectrogram, with time to the right and pitch upwards. */
export function spectrogram({ width, height, levels }: Picture): HTMLCanvasElement {
  const canvas = make("canvas", {
    width: `${width}`,
    height: `${height}`,
    class: "spectrogram",
    role: "img",
    "aria-label": "Spectrogram of the three seconds that the model rates",
  });
  const image = new ImageData(width, height);
  const points = atob(levels);
  for (let at = 0; at < width * height; at++) {
    const place = (points.charCodeAt(at) / 255) * (COLOURS.length - 1);
    const low = COLOURS[Math.floor(place)]!;
    const high = COLOURS[Math.ceil(place)]!;
    const row = height - 1 - Math.floor(at / width);
    const to = 4 * (row * width + (at % width));
    for (let channel = 0; channel < 3; channel++)
      image.data[to + channel] = low[channel]! + (high[channel]! - low[channel]!) * (place % 1);
    image.data[to + 3] = 255;
  }
  canvas.getContext("2d")!.putImageData(image, 0, 0);
  return canvas;
}
