// The voice's dress: off, ktv, hall, studio: gate, compressor, equaliser, reverb. The same graph in the singer's monitor and at
// each listener, and the same figures in the mix of a recording (songs/effects.cpp; a test holds them together).
// Nothing in the dry path delays the voice.
export const effects = ['off', 'ktv', 'hall', 'studio'] as const;
export type Effect = (typeof effects)[number];
interface Figures {
  wet: number;      // share of reverb
  seconds: number;  // until it has fallen by 60 dB
  early: number;    // seconds before it begins
  presence: number; // dB at 3 kHz
  low: number;      // Hz, high pass
  gate: number;     // dB below which the voice is closed
  knee: number;     // dB above which it is compressed
  ratio: number;
}
const figures: Record<Effect, Figures> = {
  off: { wet: 0, seconds: 0.1, early: 0, presence: 0, low: 20, gate: -90, knee: 0, ratio: 1 },
  ktv: { wet: 0.3, seconds: 1.3, early: 0.03, presence: 4, low: 110, gate: -52, knee: -22, ratio: 3 },
  hall: { wet: 0.34, seconds: 2.4, early: 0.045, presence: 1, low: 80, gate: -55, knee: -18, ratio: 2 },
  studio: { wet: 0.1, seconds: 0.5, early: 0.01, presence: 2.5, low: 90, gate: -52, knee: -24, ratio: 3 },
};

export class VoiceEffect {
  readonly input: AudioWorkletNode; // gate and compressor
  private low: BiquadFilterNode;
  readonly output: GainNode;
  private presence: BiquadFilterNode;
  private wet: GainNode;
  private reverb: ConvolverNode;
  private now: Effect | null = null;
  // The context must have loaded a worklet that has `dynamics`.
  constructor(private context: BaseAudioContext) {
    this.input = new AudioWorkletNode(context, 'dynamics', { numberOfInputs: 1, numberOfOutputs: 1, outputChannelCount: [1], channelCount: 1, channelCountMode: 'explicit' });
    this.low = new BiquadFilterNode(context, { type: 'highpass', frequency: 20 });
    this.presence = new BiquadFilterNode(context, { type: 'peaking', frequency: 3_000, Q: 0.9, gain: 0 });
    this.reverb = new ConvolverNode(context, { disableNormalization: true });
    this.wet = new GainNode(context, { gain: 0 });
    this.output = new GainNode(context);
    this.input.connect(this.low).connect(this.presence).connect(this.output);
    this.presence.connect(this.wet).connect(this.reverb).connect(this.output);
    this.set('off');
  }
  set(name: string) {
    const effect = (effects as readonly string[]).includes(name) ? (name as Effect) : 'off';
    if (effect === this.now) return;
    this.now = effect;
    const f = figures[effect];
    this.input.port.postMessage({ gate: f.gate, knee: f.knee, ratio: f.ratio });
    this.low.frequency.value = f.low;
    this.presence.gain.value = f.presence;
    this.wet.gain.value = f.wet;
    this.reverb.buffer = f.wet > 0 ? this.impulse(f) : null;
  }
  private impulse(f: Figures): AudioBuffer {
    const rate = this.context.sampleRate;
    const out = new AudioBuffer({ length: Math.ceil((f.seconds + f.early) * rate), numberOfChannels: 2, sampleRate: rate });
    let seed = 22_222;
    const dice = () => ((seed = (seed * 1_103_515_245 + 12_345) & 0x7fffffff) / 0x40000000) - 1;
    for (let c = 0; c < 2; ++c) {
      const x = out.getChannelData(c);
      let energy = 0;
      for (let i = Math.floor(f.early * rate); i < x.length; ++i) {
        x[i] = dice() * 10 ** ((-3 * (i / rate - f.early)) / f.seconds);
        energy += x[i]! ** 2;
      }
      const scale = 1 / Math.sqrt(energy || 1);
      for (let i = 0; i < x.length; ++i) x[i]! *= scale * 1.4;
    }
    return out;
  }
}
