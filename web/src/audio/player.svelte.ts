// What the page knows of the sound: the graph, honest states, and where the song stands in what leaves the loudspeaker now.
import { VoiceEffect } from './effects';
import { rate, type PlayerStatus, type Segment } from './messages';
import playerUrl from './player.worklet.ts?worker&url';

export type SoundState = 'off' | 'tap' | 'connecting' | 'live' | 'rebuffering' | 'none';
const staleMs = 1_500;
const segmentsKept = 24;
const reportsKept = 32; // 1.3 s: as late as an output may be

const kept = (name: string, otherwise: number) => {
  const v = Number(localStorage.getItem(name));
  return localStorage.getItem(name) === null || Number.isNaN(v) ? otherwise : v;
};

export class Player {
  state = $state<SoundState>('connecting');
  behind = $state(0); // seconds between the newest sample and what is heard
  volume = $state(kept('volume', 1));
  balance = $state(kept('balance', 0)); // −1 only backing … 1 only voice
  muted = $state(false);
  underruns = 0;
  private context: AudioContext;
  private node: AudioWorkletNode | null = null;
  private effect: VoiceEffect | null = null;
  private dress = 'off';
  private voice: GainNode;
  private backing: GainNode;
  private master: GainNode;
  private sink: HTMLAudioElement | null = null;
  private status: PlayerStatus | null = null;
  private reports: PlayerStatus[] = [];
  private heardAt = 0;
  private segments: Segment[] = [];
  private watch = 0;

  // `attach` hands the worklet's port to the live worker.
  constructor(private attach: (port: MessagePort) => void) {
    this.context = new AudioContext({ sampleRate: rate, latencyHint: 'interactive' });
    this.voice = new GainNode(this.context);
    this.backing = new GainNode(this.context);
    this.master = new GainNode(this.context);
    this.voice.connect(this.master);
    this.backing.connect(this.master);
    this.connectOut();
    this.mix();
    void this.start();
    this.watch = window.setInterval(() => this.look(), 250);
  }
  // A phone's screen that locks silences bare Web Audio: an audio element with a media session plays on.
  private connectOut() {
    const phone = /iPhone|iPad|Android/.test(navigator.userAgent);
    if (!phone) return void this.master.connect(this.context.destination);
    const out = this.context.createMediaStreamDestination();
    this.master.connect(out);
    this.sink = new Audio();
    this.sink.srcObject = out.stream;
  }
  private async start() {
    try {
      await this.context.audioWorklet.addModule(playerUrl);
    } catch {
      this.state = 'none';
      return;
    }
    const node = new AudioWorkletNode(this.context, 'player', { numberOfInputs: 0, numberOfOutputs: 2, outputChannelCount: [1, 2] });
    this.effect = new VoiceEffect(this.context);
    this.effect.set(this.dress);
    this.effect.output.connect(this.voice);
    node.connect(this.effect.input, 0);
    node.connect(this.backing, 1);
    this.node = node;
    const pipe = new MessageChannel();
    node.port.onmessage = (e: MessageEvent<PlayerStatus>) => {
      this.status = e.data;
      if (this.reports.push(e.data) > reportsKept) this.reports.shift();
      this.heardAt = performance.now();
      this.underruns = e.data.underruns;
    };
    node.port.postMessage(pipe.port1, [pipe.port1]);
    this.attach(pipe.port2);
    await this.tap();
  }
  // Browsers want a touch before sound.
  async tap() {
    await Promise.race([this.context.resume(), new Promise((done) => setTimeout(done, 300))]).catch(() => undefined);
    await this.sink?.play().catch(() => undefined);
    this.look();
  }
  private look() {
    if (this.state === 'none') return;
    if (this.context.state !== 'running') {
      this.state = 'tap';
      return;
    }
    const s = this.status;
    const fresh = s && performance.now() - this.heardAt < staleMs;
    this.state = !s || !s.started ? 'connecting' : s.playing && fresh ? 'live' : 'rebuffering';
    if (s?.playing) this.behind = Math.round((s.depth / rate + this.context.outputLatency) * 10) / 10;
  }
  segment(s: Segment) {
    this.segments.push({ from: s.from, offset: s.offset, performance: s.performance });
    if (this.segments.length > segmentsKept) this.segments.shift();
  }
  // Media time that leaves the output now; null: nothing is heard.
  private heard(): number | null {
    if (!this.status || this.context.state !== 'running') return null;
    const out = this.context.getOutputTimestamp();
    const frame = out.contextTime === undefined || out.performanceTime === undefined || out.contextTime === 0
      ? (this.context.currentTime - (this.context.outputLatency || 0)) * rate
      : (out.contextTime + (performance.now() - out.performanceTime) / 1000) * rate;
    // It left the worklet a while ago: the newest report may tell of a jump that is not heard yet.
    let s = this.reports[0]!;
    for (const r of this.reports) if (r.from <= frame) s = r;
    return s.playing ? s.read + (frame - s.frame) * s.rate : null;
  }
  // Song position of the sample that leaves the output now; null: talk, or nothing is heard.
  position(): { at: number; performance: bigint } | null {
    const now = this.heard();
    if (now === null) return null;
    let found: Segment | null = null;
    for (const s of this.segments) if (s.from <= now) found = s;
    return found && found.offset !== null ? { at: now - found.offset, performance: found.performance } : null;
  }
  setEffect(name: string) {
    this.dress = name;
    this.effect?.set(name);
  }
  mix(volume = this.volume, balance = this.balance, muted = this.muted) {
    this.volume = volume;
    this.balance = balance;
    this.muted = muted;
    localStorage.setItem('volume', String(volume));
    localStorage.setItem('balance', String(balance));
    this.voice.gain.value = Math.min(1, 1 + balance);
    this.backing.gain.value = Math.min(1, 1 - balance) * 0.8;
    this.master.gain.value = muted ? 0 : volume;
  }
  session(title: string, artist: string) {
    if ('mediaSession' in navigator) navigator.mediaSession.metadata = new MediaMetadata({ title, artist });
  }
  close() {
    clearInterval(this.watch);
    this.node?.disconnect();
    void this.context.close();
  }
}
