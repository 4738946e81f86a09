// The singer's desk: microphone, backing, guide, monitor, and what is sent on air. One AudioContext clocks all of it.
import type { Song } from '../gen/ovation/v1/song_pb';
import { VoiceEffect } from './effects';
import { rate, type FromWorker, type StudioStatus, type ToStudio } from './messages';
import studioUrl from './studio.worklet.ts?worker&url';

const bits = 56_000;
const bleedSuspected = 0.35;
const trackKept = 1_000; // frames of 20 ms
const number = (name: string, otherwise: number) => (localStorage.getItem(name) === null ? otherwise : Number(localStorage.getItem(name)));

// What this browser lacks for singing; empty: nothing.
export function missing(): string[] {
  const out: string[] = [];
  if (!window.isSecureContext) out.push('https');
  if (typeof AudioEncoder === 'undefined') out.push('WebCodecs');
  if (typeof AudioWorkletNode === 'undefined') out.push('AudioWorklet');
  if (!navigator.mediaDevices?.getUserMedia) out.push('microphone');
  return out;
}

export class StudioDesk {
  level = $state(0);
  peak = $state(0);
  playing = $state(false);
  bleed = $state(0);
  problem = $state('');
  delayMs = $state(number('device_delay_ms', 0));
  delayKnown = $state(localStorage.getItem('device_delay_ms') !== null);
  backingLevel = $state(number('studio_backing', 0.64));
  guideLevel = $state(number('studio_guide', 0));
  voiceLevel = $state(number('studio_voice', 0));
  readonly track: { position: number; semitones: number }[] = []; // what was sung, for the pitch field
  readonly bleeds = $derived(this.bleed > bleedSuspected);
  private context: AudioContext | null = null;
  private node: AudioWorkletNode | null = null;
  private monitor: GainNode | null = null;
  private effect: VoiceEffect | null = null;
  private stream: MediaStream | null = null;
  private status: StudioStatus | null = null;
  private statusAt = 0;

  // `attach` hands the captured frames' port to the live worker.
  async open(attach: (port: MessagePort, bits: number) => void) {
    this.stream = await navigator.mediaDevices.getUserMedia({ audio: { channelCount: 1, sampleRate: rate, echoCancellation: false, noiseSuppression: false, autoGainControl: false } });
    const context = new AudioContext({ sampleRate: rate, latencyHint: 'interactive' });
    this.context = context;
    await context.resume();
    await context.audioWorklet.addModule(studioUrl);
    const node = new AudioWorkletNode(context, 'studio', { numberOfInputs: 1, numberOfOutputs: 1, outputChannelCount: [2] });
    this.node = node;
    node.port.onmessage = (e: MessageEvent<StudioStatus>) => {
      this.status = e.data;
      this.statusAt = performance.now();
      this.level = e.data.level;
      this.peak = e.data.peak;
      this.playing = e.data.playing;
    };
    const microphone = context.createMediaStreamSource(this.stream);
    microphone.connect(node);
    node.connect(context.destination);
    this.effect = new VoiceEffect(context);
    this.monitor = new GainNode(context, { gain: 0 });
    microphone.connect(this.effect.input);
    this.effect.output.connect(this.monitor).connect(context.destination);
    const pipe = new MessageChannel();
    this.post({ t: 'sink', port: pipe.port1 }, [pipe.port1]);
    attach(pipe.port2, bits);
    this.mix();
  }
  private post(m: ToStudio, move: Transferable[] = []) {
    this.node?.port.postMessage(m, move);
  }
  heard(m: FromWorker) {
    if (m.t === 'bleed') this.bleed = m.match;
    if (m.t === 'encoder') this.problem = m.problem;
    if (m.t === 'pitch' && m.position !== null && m.semitones !== null) {
      this.track.push({ position: m.position, semitones: m.semitones });
      if (this.track.length > trackKept) this.track.shift();
    }
  }
  // Until it was measured: what the browser knows of its output.
  get delayInUseMs(): number {
    return this.delayKnown ? this.delayMs : ((this.context?.outputLatency ?? 0) + (this.context?.baseLatency ?? 0)) * 1000;
  }
  private get delaySamples(): number {
    return Math.round((this.delayInUseMs / 1000) * rate);
  }
  mix() {
    localStorage.setItem('studio_backing', String(this.backingLevel));
    localStorage.setItem('studio_guide', String(this.guideLevel));
    localStorage.setItem('studio_voice', String(this.voiceLevel));
    this.post({ t: 'mix', backing: this.backingLevel, guide: this.guideLevel, delay: this.delaySamples });
    if (this.monitor) this.monitor.gain.value = this.voiceLevel;
  }
  setDelay(ms: number) {
    this.delayMs = Math.round(Math.max(-100, Math.min(900, ms)));
    this.delayKnown = true;
    localStorage.setItem('device_delay_ms', String(this.delayMs));
    this.mix();
  }
  setEffect(name: string) {
    this.effect?.set(name);
  }
  // Loads what the singer hears; the room gets its own packets from the server.
  async load(song: Song, performance: bigint, key: number) {
    const rendition = song.renditions.find((r) => r.key === key && r.kbps === 96) ?? song.renditions[0];
    const fetched = async (url: string) => this.context!.decodeAudioData(await (await fetch(url)).arrayBuffer());
    const backing = rendition ? await fetched(rendition.url) : null;
    const guide = rendition?.guideUrl ? await fetched(rendition.guideUrl).catch(() => null) : null;
    const length = Number(song.durationSamples) + rate;
    const left = backing ? backing.getChannelData(0).slice() : new Float32Array(length);
    const right = backing && backing.numberOfChannels > 1 ? backing.getChannelData(1).slice() : left.slice();
    const melody = guide ? guide.getChannelData(0).slice() : null;
    this.track.length = 0;
    this.post({ t: 'song', performance, left, right, guide: melody }, [left.buffer, right.buffer, ...(melody ? [melody.buffer] : [])]);
  }
  play = () => this.post({ t: 'control', playing: true });
  pause = () => this.post({ t: 'control', playing: false });
  // So that `position` is heard at this moment of performance.now(): both singers of a duet begin together.
  playAt(position: number, atMs: number) {
    const c = this.context;
    if (!c) return;
    const out = c.getOutputTimestamp();
    const [seconds, ms] = out.contextTime && out.performanceTime ? [out.contextTime, out.performanceTime] : [c.currentTime - (c.outputLatency || 0), performance.now()];
    this.post({ t: 'control', playing: true, position: Math.round(position), atFrame: Math.round((seconds + (atMs - ms) / 1000) * rate) });
  }
  seek = (position: number) => this.post({ t: 'control', playing: this.playing, position: Math.round(position) });
  // What the singer hears now.
  position(): number {
    const s = this.status;
    if (!s) return 0;
    const run = s.playing ? ((performance.now() - this.statusAt) / 1000) * rate : 0;
    return s.position + run - (this.context?.outputLatency ?? 0) * rate;
  }
  // Clicks out of the loudspeaker, heard by the microphone: the whole way of this device. Nothing when they are not heard.
  async check(): Promise<number | null> {
    const context = this.context;
    if (!context || !this.stream) return null;
    // By the way that the voice takes: another node on the same microphone has buffers of its own.
    const pipe = new MessageChannel();
    const frames: { at: number; pcm: Float32Array }[] = [];
    pipe.port2.onmessage = (e) => frames.push(e.data);
    this.post({ t: 'record', port: pipe.port1 }, [pipe.port1]);
    const begin = Math.round(context.currentTime * rate) + rate / 4;
    const clicks = [0, 1, 2, 3, 4].map((i) => begin + i * 24_000 + i * i * 480);
    this.post({ t: 'click', at: clicks.slice() });
    await new Promise((done) => setTimeout(done, 4_200));
    this.post({ t: 'record', port: null });
    return findClicks(frames, clicks);
  }
  close() {
    for (const track of this.stream?.getTracks() ?? []) track.stop();
    void this.context?.close();
    this.context = null;
  }
}

// Median lateness of the clicks in milliseconds, when most of them agree within 15 ms.
export function findClicks(frames: { at: number; pcm: Float32Array }[], clicks: number[]): number | null {
  if (frames.length === 0) return null;
  const first = frames[0]!.at;
  const all = new Float32Array(frames.length * 960);
  frames.forEach((f) => f.at >= first && f.at - first + 960 <= all.length && all.set(f.pcm, f.at - first));
  const late: number[] = [];
  for (const c of clicks) {
    let best = 0;
    let where = -1;
    for (let lag = 0; lag < 0.6 * rate; lag += 4) {
      const at = c - first + lag;
      if (at < 0 || at + 96 > all.length) continue;
      let [re, im, energy] = [0, 0, 1e-9];
      for (let i = 0; i < 96; ++i) {
        const v = all[at + i]!;
        re += v * Math.sin((2 * Math.PI * 2_000 * i) / rate);
        im += v * Math.cos((2 * Math.PI * 2_000 * i) / rate);
        energy += v * v;
      }
      const strength = (re * re + im * im) * ((re * re + im * im) / (energy * 48));
      if (strength > best) [best, where] = [strength, lag];
    }
    if (where >= 0 && best > 1e-3) late.push((where / rate) * 1000);
  }
  late.sort((a, b) => a - b);
  const middle = late[late.length >> 1];
  return middle !== undefined && late.filter((x) => Math.abs(x - middle) < 15).length >= 3 ? Math.round(middle) : null;
}
