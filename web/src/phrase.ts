// The model's input of a recording, as models/data/sound.py makes it.
import { Refusal } from "./refusal";

export const RATE = 22_050; // samples per second
const SHORTEST = 0.5; // seconds
const LONGEST = 30;
const SILENCE = 1e-3; // a lower peak, 60 dB below full scale, is silence
const CLIPPED = 0.01; // the largest share of samples at full scale
const WINDOW = 2048;
const HOP = 512;
const MELS = 128;
const [FIRST, LAST] = [12, 84]; // bands from 300 to 3,400 Hz
const BANDS = LAST - FIRST;
const QUIET = -45; // dB below the loudest point
const ONSET = -30; // dB relative to the loudest frame; a voice begins above it
const BEFORE = 2; // frames before the onset
const FRAMES = 128; // about three seconds
const [HIGH, WIDE] = [4, 2]; // bands and frames of a block, which is one number
const [STEP, KNEE, GROWTH] = [200 / 3, 15, Math.log(6.4) / 27]; // Slaney's mel scale

/** A phrase: the model's input, and its spectrogram in dB, band by band. */
export type Phrase = { x: number[]; width: number; height: number; levels: Float64Array };

/** The three seconds from the onset of the voice, of mono samples at `RATE`. */
export function phrase(samples: Float32Array): Phrase {
  check(samples);
  const level = decibels(samples);
  const frames = level.length / BANDS;
  const loudness = Array.from({ length: frames }, (_, frame) => {
    let most = QUIET;
    for (let band = 0; band < BANDS; band++) most = Math.max(most, level[band * frames + frame]!);
    return most;
  });
  const start = Math.max(Math.max(loudness.findIndex((one) => one > ONSET), 0) - BEFORE, 0);
  const levels = new Float64Array(BANDS * FRAMES).fill(QUIET);
  for (let band = 0; band < BANDS; band++)
    for (let frame = 0; frame < Math.min(FRAMES, frames - start); frame++)
      levels[band * FRAMES + frame] = level[band * frames + start + frame]!;
  return { x: blocks(levels), width: FRAMES, height: BANDS, levels };
}

/** Points of a spectrogram from 0 (quiet) to 255, for a picture. */
export const brightness = ({ levels }: Phrase): Uint8Array => Uint8Array.from(levels, (level) => Math.round(255 * (1 - level / QUIET)));

function check(samples: Float32Array): void {
  const seconds = samples.length / RATE;
  let [peak, loud] = [0, 0];
  for (const sample of samples) {
    peak = Math.max(peak, Math.abs(sample));
    if (Math.abs(sample) >= 0.999) loud++;
  }
  if (seconds < SHORTEST) throw new Refusal(`The recording lasts ${seconds.toFixed(2)} seconds: record at least ${SHORTEST}.`);
  if (seconds > LONGEST) throw new Refusal(`The recording is longer than ${LONGEST} seconds: cut it down to one phrase.`);
  if (peak < SILENCE) throw new Refusal("The recording is silent: record it at a higher level.");
  if (loud > CLIPPED * samples.length) throw new Refusal("The recording is clipped: record it at a lower level.");
}

/** The mean level of each block, in steps of 3 dB around the middle of the range. */
function blocks(levels: Float64Array): number[] {
  const x: number[] = [];
  for (let band = 0; band < BANDS; band += HIGH)
    for (let frame = 0; frame < FRAMES; frame += WIDE) {
      let sum = 0;
      for (let row = 0; row < HIGH; row++) for (let column = 0; column < WIDE; column++) sum += levels[(band + row) * FRAMES + frame + column]!;
      x.push(roundEven((sum / (HIGH * WIDE) - QUIET / 2) / 3));
    }
  return x;
}

/** The mel spectrogram in dB below its maximum, band by band. */
function decibels(samples: Float32Array): Float64Array {
  const padded = new Float64Array(samples.length + WINDOW);
  padded.set(samples, WINDOW / 2);
  const frames = 1 + Math.floor((padded.length - WINDOW) / HOP);
  const hann = Float64Array.from({ length: WINDOW }, (_, at) => 0.5 - 0.5 * Math.cos((2 * Math.PI * at) / WINDOW));
  const filters = melFilters();
  const level = new Float64Array(BANDS * frames);
  let most = -Infinity;
  for (let frame = 0; frame < frames; frame++) {
    const power = spectrum(hann.map((weight, at) => weight * padded[frame * HOP + at]!));
    filters.forEach(({ first, weights }, band) => {
      let sum = 0;
      for (let at = 0; at < weights.length; at++) sum += weights[at]! * power[first + at]!;
      const here = 10 * Math.log10(Math.max(sum, 1e-10));
      level[band * frames + frame] = here;
      most = Math.max(most, here);
    });
  }
  return level.map((one) => Math.max(one - most, QUIET));
}

/** The weights of the frequencies in each band: triangles of equal area, evenly spaced in mel. */
function melFilters(): { first: number; weights: number[] }[] {
  const highest = KNEE + Math.log(RATE / 2 / STEP / KNEE) / GROWTH;
  const edges = Array.from({ length: MELS + 2 }, (_, at) => {
    const mel = (highest * at) / (MELS + 1);
    return mel < KNEE ? mel * STEP : KNEE * STEP * Math.exp(GROWTH * (mel - KNEE));
  });
  return Array.from({ length: BANDS }, (_, band) => {
    const [low, middle, high] = edges.slice(FIRST + band, FIRST + band + 3) as [number, number, number];
    const weights = Array.from({ length: WINDOW / 2 + 1 }, (_, bin) => {
      const hertz = (bin * RATE) / WINDOW;
      const triangle = Math.min((hertz - low) / (middle - low), (high - hertz) / (high - middle));
      return (Math.max(0, triangle) * 2) / (high - low);
    });
    const first = weights.findIndex((weight) => weight > 0);
    return { first, weights: weights.slice(first, weights.findLastIndex((weight) => weight > 0) + 1) };
  });
}

/** The power of each frequency, by a fast Fourier transform. */
function spectrum(real: Float64Array): Float64Array {
  const size = real.length;
  const imaginary = new Float64Array(size);
  for (let at = 1, mirror = 0; at < size; at++) {
    let bit = size >> 1;
    for (; mirror & bit; bit >>= 1) mirror ^= bit;
    mirror ^= bit;
    if (at < mirror) [real[at], real[mirror]] = [real[mirror]!, real[at]!];
  }
  for (let half = 1; half < size; half *= 2)
    for (let place = 0; place < half; place++) {
      const [cosine, sine] = [Math.cos((Math.PI * place) / half), -Math.sin((Math.PI * place) / half)];
      for (let at = place; at < size; at += 2 * half) {
        const to = at + half;
        const [x, y] = [real[to]! * cosine - imaginary[to]! * sine, real[to]! * sine + imaginary[to]! * cosine];
        [real[to], imaginary[to]] = [real[at]! - x, imaginary[at]! - y];
        real[at]! += x;
        imaginary[at]! += y;
      }
    }
  return Float64Array.from({ length: size / 2 + 1 }, (_, at) => real[at]! ** 2 + imaginary[at]! ** 2);
}

/** Rounds to the nearest whole number, and halves to the even one, as Python does. */
export function roundEven(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  return rest > 0.5 || (rest === 0.5 && floor % 2 !== 0) ? floor + 1 : floor;
}
