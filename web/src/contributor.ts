// The worker that makes one contribution to a ceremony.
import { contributed } from "./contribution";
import { Refusal } from "./refusal";

self.addEventListener("message", ({ data: { text, name } }: MessageEvent<{ text: string; name: string }>) => {
  try {
    self.postMessage({ result: contributed(text, name, (step) => self.postMessage({ step })) });
  } catch (error) {
    self.postMessage(error instanceof Refusal ? { refusal: error.message } : { error: String(error) });
  }
});
