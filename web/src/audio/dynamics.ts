// Gate and compressor of the voice, sample by sample and without delay (songs/effects.cpp has the same). Both worklets register it.
declare function registerProcessor(name: string, of: unknown): void;
declare class AudioWorkletProcessor {
  readonly port: MessagePort;
}
const rate = 48_000;
const attack = Math.exp(-1 / (0.005 * rate));
const release = Math.exp(-1 / (0.12 * rate));

class Dynamics extends AudioWorkletProcessor {
  private gate = -90;
  private knee = 0;
  private ratio = 1;
  private envelope = 0;
  private open = 0;
  constructor() {
    super();
    this.port.onmessage = (e: MessageEvent<{ gate: number; knee: number; ratio: number }>) => Object.assign(this, e.data);
  }
  process(inputs: Float32Array[][], outputs: Float32Array[][]): boolean {
    const x = inputs[0]?.[0];
    const y = outputs[0]![0]!;
    if (!x) {
      y.fill(0);
      return true;
    }
    if (this.ratio <= 1) {
      y.set(x);
      return true;
    }
    const slope = 1 - 1 / this.ratio;
    const makeup = (-this.knee * slope) / 2;
    for (let i = 0; i < x.length; ++i) {
      const a = Math.abs(x[i]!);
      this.envelope = a + (this.envelope - a) * (a > this.envelope ? attack : release);
      const db = 20 * Math.log10(Math.max(this.envelope, 1e-6));
      const wanted = db < this.gate ? 0 : 1;
      this.open += (wanted - this.open) * (wanted > this.open ? 1 - attack : 1 - release);
      y[i] = x[i]! * this.open * 10 ** ((makeup - Math.max(0, db - this.knee) * slope) / 20);
    }
    return true;
  }
}
export const registerDynamics = () => registerProcessor('dynamics', Dynamics);
