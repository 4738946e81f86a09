// The singer's side: plays backing and guide, captures the microphone, and stamps each 20 ms frame with the song position that
// the singer was hearing. One clock for both. Play, pause, seek and a new song happen on the 20 ms grid.
import { registerDynamics } from './dynamics';
import { packet, type Captured, type StudioStatus, type ToStudio } from './messages';

declare const currentFrame: number;
declare function registerProcessor(name: string, of: unknown): void;
declare class AudioWorkletProcessor {
  readonly port: MessagePort;
}
const fade = 240;

class Studio extends AudioWorkletProcessor {
  private sink: MessagePort | null = null;
  private recorder: MessagePort | null = null; // while the device is checked
  private left: Float32Array | null = null;
  private right: Float32Array | null = null;
  private guide: Float32Array | null = null;
  private performance = 0n;
  private position = 0;
  private playing = false;
  private gains = { backing: 1, guide: 0, delay: 0 };
  private todo: ToStudio[] = [];
  private frame = new Float32Array(packet);
  private heard = new Float32Array(packet);
  private filled = 0;
  private label: number | null = null;
  private at = 0;
  private fadeIn = 0;
  private clicks: number[] = [];
  private level = 0;
  private peak = 0;
  private frames = 0;

  constructor() {
    super();
    this.port.onmessage = (e: MessageEvent<ToStudio>) => {
      if (e.data.t === 'sink') this.sink = e.data.port;
      else if (e.data.t === 'record') this.recorder = e.data.port;
      else if (e.data.t === 'mix') this.gains = e.data;
      else if (e.data.t === 'click') this.clicks = e.data.at;
      else this.todo.push(e.data);
    };
  }
  private begin(at: number) {
    for (const m of this.todo.splice(0)) {
      // A later word takes the place of a start that has not come yet.
      if (m.t === 'control') this.todo = this.todo.filter((o) => o.t !== 'control');
      if (m.t === 'control' && m.atFrame !== undefined && m.atFrame > at + packet) {
        this.todo.push(m);
        continue;
      }
      if (m.t === 'song') {
        [this.left, this.right, this.guide, this.performance] = [m.left, m.right, m.guide, m.performance];
        this.position = 0;
        this.playing = false;
      } else if (m.t === 'control') {
        if (m.position !== undefined) this.position = m.position + (m.atFrame === undefined ? 0 : at - m.atFrame);
        this.playing = m.playing;
        this.fadeIn = 0;
      }
    }
    this.at = at;
    this.label = this.playing ? this.position - this.gains.delay : null;
  }
  private end(at: number) {
    if (this.sink && !this.recorder) {
      const pcm = this.frame.slice();
      const backing = this.playing ? this.heard.slice() : null;
      const m: Captured = { pcm, at, position: this.label, performance: this.performance, backing };
      this.sink.postMessage(m, backing ? [pcm.buffer, backing.buffer] : [pcm.buffer]);
    }
    this.recorder?.postMessage({ at, pcm: this.frame.slice() });
    let square = 0;
    for (const v of this.frame) {
      square += v * v;
      if (Math.abs(v) > this.peak) this.peak = Math.abs(v);
    }
    this.level = Math.max(this.level * 0.8, Math.sqrt(square / packet));
    if (++this.frames % 3 === 0) {
      const status: StudioStatus = { t: 'status', frame: at + packet, position: this.position, playing: this.playing, level: this.level, peak: this.peak };
      this.port.postMessage(status);
      this.peak = 0;
    }
  }
  process(inputs: Float32Array[][], outputs: Float32Array[][]): boolean {
    const mic = inputs[0]?.[0];
    const out = outputs[0]!;
    const count = out[0]!.length;
    for (let i = 0; i < count; ++i) {
      if (this.filled === 0) this.begin(currentFrame + i);
      this.frame[this.filled] = mic ? mic[i]! : 0;
      let l = 0;
      let r = 0;
      if (this.playing && this.left && this.right) {
        if (this.position >= 0 && this.position < this.left.length) {
          l = this.left[this.position]!;
          r = this.right[this.position]!;
        }
        this.heard[this.filled] = l;
        const g = this.guide && this.position >= 0 && this.position < this.guide.length ? this.guide[this.position]! * this.gains.guide : 0;
        const soft = this.fadeIn < fade ? ++this.fadeIn / fade : 1;
        l = (l * this.gains.backing + g) * soft;
        r = (r * this.gains.backing + g) * soft;
        this.position += 1;
      }
      if (this.clicks.length > 0) {
        const since = currentFrame + i - this.clicks[0]!;
        if (since >= 0 && since < 96) l = r = 0.8 * Math.sin((2 * Math.PI * 2_000 * since) / 48_000);
        if (since >= 96) this.clicks.shift();
      }
      out[0]![i] = l;
      if (out[1]) out[1][i] = r;
      if (++this.filled === packet) {
        this.filled = 0;
        this.end(this.at);
      }
    }
    return true;
  }
}
registerProcessor('studio', Studio);
registerDynamics();
