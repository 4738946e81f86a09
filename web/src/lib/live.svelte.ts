// One live room: joining and resuming, and what the page shows of it. The socket itself lives in a worker (audio/live.worker.ts).
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { ArrangeQueue_Action, ArrangeSeat_Action, ClientFrameSchema, ControlSong_Action, ServerFrameSchema, Stage_State, type ChatMessage, type ClientFrame, type GiftShown, type LineScore, type Queue, type ScoreTotal, type ServerFrame, type Stage, type Ticker } from '../gen/ovation/v1/live_pb';
import type { ErrorDetail } from '../gen/ovation/v1/access_pb';
import type { SendGiftResponse, BoardRow } from '../gen/ovation/v1/gift_pb';
import type { Room } from '../gen/ovation/v1/room_pb';
import type { FromWorker, ToWorker } from '../audio/messages';
import { Player } from '../audio/player.svelte';
import LiveWorker from '../audio/live.worker.ts?worker';
import { accessToken, refresh, sentence } from './api.svelte';
import { t } from './i18n.svelte';

export type Line = { id: string; kind: 'chat' | 'gift' | 'note'; name: string; text: string; userId: bigint; tag: string; giftId?: bigint; count?: number; earlier?: boolean };
export class Refusal extends Error {
  constructor(
    message: string,
    readonly reason: string,
  ) {
    super(message);
  }
}
// A link that says so, or a person who saves data, gets the 48 kb/s rendition.
function slowLink(): boolean {
  const c = (navigator as { connection?: { saveData?: boolean; effectiveType?: string } }).connection;
  return localStorage.getItem('low_rate') === '1' || c?.saveData === true || c?.effectiveType === '2g' || c?.effectiveType === '3g';
}
const linesKept = 200;
const behindMs = 20_000;
const clockPings = 8;

export class LiveRoom {
  state = $state<'connecting' | 'live' | 'reconnecting' | 'closed'>('connecting');
  attempt = $state(0);
  closedBy = $state('');
  room = $state.raw<Room | null>(null);
  stage = $state.raw<Stage | null>(null);
  listeners = $state(0);
  lines = $state.raw<Line[]>([]);
  supporters = $state.raw<BoardRow[]>([]);
  balance = $state<bigint | null>(null);
  lastGift = $state.raw<GiftShown | null>(null);
  showOpen = $state(false);
  staff = $state(false);
  clockOffsetMs = 0;
  queue = $state.raw<Queue | null>(null);
  lineScore = $state.raw<LineScore | null>(null);
  total = $state.raw<ScoreTotal | null>(null);
  lastTotal = $state.raw<ScoreTotal | null>(null); // of the song that was sung last
  points = $state.raw<Record<string, number>>({}); // by singer, of this performance
  scoreOf: bigint | null = null; // whose lines and total these are; null: the room's singer
  player = $state.raw<Player | null>(null);
  onGift: (g: GiftShown) => void = () => {};
  onTicker: (line: Ticker) => void = () => {};
  onLive: () => void = () => {};
  onTiming: (behind: number) => void = () => {}; // samples by which one's own voice comes behind the lead's
  onSound: (m: FromWorker) => void = () => {};

  private worker = new LiveWorker();
  private open = false;
  private epoch = '';
  private offset = 0n;
  private entrySeq = 0n;
  private requests = new Map<bigint, { done: (f: ServerFrame) => void; fail: (e: Error) => void }>();
  private nextRequest = 1n;
  private pinger = 0;
  private heardAt = 0;
  private gone = false;
  private token = ''; // with which one came in
  private refused: ErrorDetail | null = null; // why the way in was refused
  private stageAt = 0;
  private note = 0;

  // `listens`: with sound; the studio hears itself.
  constructor(readonly roomId: bigint, readonly listens = true, readonly alone = false) {
    this.worker.onmessage = (e: MessageEvent<FromWorker>) => this.fromWorker(e.data);
    if (listens) this.player = new Player((port) => this.post({ t: 'player', port }, [port]));
    this.connect();
    this.pinger = window.setInterval(() => this.ping(), 8_000);
  }
  leave() {
    this.gone = true;
    clearInterval(this.pinger);
    this.post({ t: 'close' });
    this.player?.close();
    setTimeout(() => this.worker.terminate(), 500);
  }
  private post(m: ToWorker, move: Transferable[] = []) {
    this.worker.postMessage(m, move);
  }
  publish(port: MessagePort, bits: number) {
    this.post({ t: 'microphone', port, bits }, [port]);
  }
  onAir(on: boolean) {
    this.post({ t: 'on_air', on });
  }

  // Where the song stands in what is heard now, in samples; without sound: from the last word of the server, on by the clock
  // while it plays. Lyrics wait with the sound and never run ahead of it.
  position(): number {
    const heard = this.player?.position();
    if (heard && heard.performance === this.stage?.performanceId) return heard.at;
    const s = this.stage;
    if (!s) return 0;
    const run = s.state === Stage_State.PLAYING ? (performance.now() - this.stageAt) * 48 : 0;
    return Number(s.songPosition) + run;
  }

  // What keeps one from being in the room; empty: nothing.
  get trouble(): string {
    switch (this.state) {
      case 'connecting': return t('coming_in');
      case 'reconnecting': return t('reconnecting', { n: this.attempt });
      case 'closed': return this.closedBy ? sentence(this.closedBy, this.closedBy) : t('show_over');
      default: return '';
    }
  }
  private connect() {
    this.open = false;
    this.post({ t: 'open', url: `${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}/v1/live` });
  }
  private fromWorker(m: FromWorker) {
    switch (m.t) {
      case 'opened':
        this.open = true;
        this.heardAt = Date.now();
        this.token = accessToken();
        this.send({ case: 'enter', value: { roomId: this.roomId, alone: this.alone, accessToken: this.token, noMedia: !this.listens, lowRate: slowLink(), bufferMs: 1_000, resume: this.epoch ? { epoch: this.epoch, offset: this.offset, entrySeq: this.entrySeq } : undefined } as never }, 0n);
        break;
      case 'frame':
        this.heardAt = Date.now();
        this.take(fromBinary(ServerFrameSchema, m.bytes));
        break;
      case 'closed':
        this.open = false;
        void this.lost(m.code, m.reason);
        break;
      case 'segment':
        this.player?.segment(m);
        break;
    }
    this.onSound(m);
  }
  private async lost(code: number, reason: string) {
    for (const r of this.requests.values()) r.fail(new Refusal('', 'unknown'));
    this.requests.clear();
    if (this.gone) return;
    const passes = this.refused?.retryable ?? false; // a busy database, for one
    this.refused = null;
    if (code === 4003 || code === 4009 || (code === 1008 && reason !== '' && !passes)) {
      this.state = 'closed';
      this.closedBy = reason;
      return;
    }
    if (code === 4001) await refresh(this.token);
    this.state = 'reconnecting';
    this.attempt += 1;
    setTimeout(() => !this.gone && this.connect(), Math.min(8_000, 300 * 2 ** Math.min(this.attempt, 5)) * (0.7 + Math.random() * 0.6));
  }
  private ping() {
    if (!this.open) return;
    if (Date.now() - this.heardAt > behindMs) return this.post({ t: 'close' });
    this.send({ case: 'ping', value: { sentAtMs: BigInt(Date.now()) } as never }, 0n);
  }
  private send(command: ClientFrame['command'], requestId: bigint) {
    this.post({ t: 'send', bytes: toBinary(ClientFrameSchema, create(ClientFrameSchema, { requestId, command: command as never })) });
  }
  private ask(command: ClientFrame['command'], waitMs = 10_000): Promise<ServerFrame> {
    if (!this.open || this.state !== 'live') return Promise.reject(new Refusal('', 'offline'));
    const id = this.nextRequest++;
    return new Promise((done, fail) => {
      this.requests.set(id, { done, fail });
      setTimeout(() => this.requests.delete(id) && fail(new Refusal('', 'unknown')), waitMs);
      this.send(command, id);
    });
  }

  private push(line: Line) {
    this.lines = [...this.lines.slice(1 - linesKept), line];
  }
  private chatLine(c: ChatMessage): Line {
    return { id: `c${c.id}-${c.atMs}`, kind: 'chat', name: c.name, text: c.text, userId: c.userId, tag: c.tag };
  }
  private setStage(s: Stage | undefined) {
    if (s?.performanceId !== this.stage?.performanceId) {
      this.lineScore = this.total = null;
      this.points = {};
    }
    for (const seat of s?.seats ?? []) if (seat.points > (this.points[String(seat.userId)] ?? 0)) this.points = { ...this.points, [String(seat.userId)]: seat.points };
    this.stage = s ?? null;
    if (s) this.player?.setEffect(s.effect);
    if (s?.songTitle) this.player?.session(s.songTitle, s.singerName);
    this.stageAt = performance.now();
  }

  private take(f: ServerFrame) {
    if (f.requestId !== 0n) {
      const waiting = this.requests.get(f.requestId);
      this.requests.delete(f.requestId);
      if (waiting) {
        if (f.body.case === 'refused') waiting.fail(new Refusal(sentence(f.body.value.detail?.reason ?? '', f.body.value.message), f.body.value.detail?.reason ?? ''));
        else waiting.done(f);
      }
    }
    if (f.offset > this.offset) this.offset = f.offset;
    const b = f.body;
    switch (b.case) {
      case 'refused':
        if (f.requestId === 0n) this.refused = b.value.detail ?? null;
        break;
      case 'welcome': {
        const w = b.value;
        if (this.epoch && this.epoch !== w.epoch && this.listens) this.post({ t: 'restart' }); // another server, another clock
        this.epoch = w.epoch;
        this.offset = w.offset;
        if (this.entrySeq === 0n) this.entrySeq = w.entrySeq;
        this.clockOffsetMs = Number(w.serverTimeMs) - Date.now();
        this.room = w.room ?? null;
        this.listeners = w.room?.listeners ?? 0;
        this.showOpen = (w.room?.showId ?? 0n) !== 0n;
        this.setStage(w.stage);
        if (!w.resumed || w.reload) this.lines = w.chat.map((c) => this.chatLine(c));
        this.staff = w.staff;
        this.queue = w.queue ?? null;
        if (w.balance) this.balance = w.balance.coins;
        this.state = 'live';
        this.attempt = 0;
        this.onLive();
        break;
      }
      case 'ticker': this.onTicker(b.value); break;
      case 'chat': this.push(this.chatLine(b.value)); break;
      case 'chatSkipped': this.push({ id: `n${++this.note}`, kind: 'note', name: '', text: String(b.value.count), userId: 0n, tag: 'skipped' }); break;
      case 'gift': {
        const g = b.value;
        if (g.entrySeq > this.entrySeq) this.entrySeq = g.entrySeq;
        // One line a combo: it grows, and the list does not run away.
        const id = `g${g.comboId}`;
        const line: Line = { id, kind: 'gift', name: g.name, text: '', userId: g.userId, tag: '', giftId: g.giftId, count: g.comboTotal, earlier: g.earlier };
        if (this.lines.some((l) => l.id === id)) this.lines = this.lines.map((l) => (l.id === id ? line : l));
        else this.push(line);
        if (!g.earlier) {
          this.lastGift = g;
          this.onGift(g);
        }
        break;
      }
      case 'stage': this.setStage(b.value); break;
      case 'queue': this.queue = b.value; break;
      case 'lineScore':
        if (b.value.performanceId !== this.stage?.performanceId) break;
        this.points = { ...this.points, [String(b.value.singerId)]: b.value.pointsSoFar };
        if (b.value.singerId === (this.scoreOf ?? this.stage?.singerId)) this.lineScore = b.value;
        break;
      case 'scoreTotal': {
        // It comes when the song is over: the next one may stand on the stage already.
        const mine = b.value.singerId === (this.scoreOf ?? this.stage?.singerId);
        if (mine) this.lastTotal = b.value;
        if (b.value.performanceId !== this.stage?.performanceId) break;
        this.points = { ...this.points, [String(b.value.singerId)]: b.value.points };
        if (mine) this.total = b.value;
        break;
      }
      case 'seatTiming': this.onTiming(Number(b.value.behind)); break;
      case 'presence': this.listeners = b.value.listeners; break;
      case 'supporters': this.supporters = b.value.rows; break;
      case 'balance': this.balance = b.value.coins; break;
      case 'show': this.showOpen = b.value.open; break;
    }
  }

  async chat(text: string) {
    await this.ask({ case: 'sendChat', value: { text } as never });
  }
  async sendGift(key: string, giftId: bigint, quantity: number, priceVersion: number, toSingerId = 0n): Promise<SendGiftResponse> {
    const f = await this.ask({ case: 'sendGift', value: { key, roomId: this.roomId, giftId, quantity, priceVersion, toSingerId } as never });
    if (f.body.case !== 'giftSent') throw new Refusal('', 'unknown');
    if (f.body.value.entrySeq !== 0n) this.balance = f.body.value.balanceCoins;
    return f.body.value;
  }
  takeStage = () => this.ask({ case: 'takeStage', value: {} as never });
  pickSong = (songId: bigint, key = 0, songRequestId = 0n, voice = 0, record = false) => this.ask({ case: 'pickSong', value: { songId, key, songRequestId, voice, record } as never });
  takeSeat = (record = false) => this.ask({ case: 'takeSeat', value: { record } as never });
  leaveSeat = () => this.ask({ case: 'leaveSeat', value: {} as never });
  arrangeSeat = (action: ArrangeSeat_Action, what: { userId?: bigint; handle?: string } = {}) => this.ask({ case: 'arrangeSeat', value: { action, ...what } as never });
  // The server's clock against performance.now() and the way there, in ms: the answer that came back quickest of eight tells it best.
  async serverClock(): Promise<{ ahead: number; way: number }> {
    let best = Infinity;
    let ahead = Date.now() + this.clockOffsetMs - performance.now();
    for (let i = 0; i < clockPings; ++i) {
      const sent = performance.now();
      const f = await this.ask({ case: 'ping', value: { sentAtMs: BigInt(Date.now()) } as never }).catch(() => null);
      const took = performance.now() - sent;
      if (f?.body.case !== 'pong') continue;
      if (took < best) [best, ahead] = [took, Number(f.body.value.serverTimeMs) + took / 2 - performance.now()];
    }
    return { ahead, way: best === Infinity ? 0 : best / 2 };
  }
  requestSong = (songId: bigint, key = 0, forName = '') => this.ask({ case: 'requestSong', value: { songId, key, forName } as never });
  cancelRequest = (id: bigint) => this.ask({ case: 'cancelRequest', value: { id } as never });
  // The key is made once for a wish: asked again after a lost answer, the same bump is found.
  bump = (key: string, id: bigint, priceCoins: bigint) => this.ask({ case: 'bumpRequest', value: { key, id, priceCoins } as never });
  arrange = (action: ArrangeQueue_Action, id = 0n, index = 0) => this.ask({ case: 'arrangeQueue', value: { action, id, index } as never });
  dress = (effect: string, hideScore: boolean) => this.ask({ case: 'setStage', value: { effect, hideScore } as never });
  quality = (lowRate: boolean) => this.ask({ case: 'setQuality', value: { lowRate } as never });
  control = (action: ControlSong_Action, songPosition = 0n) => this.ask({ case: 'controlSong', value: { action, songPosition } as never });
}
export { ArrangeQueue_Action, ArrangeSeat_Action, Stage_State, ControlSong_Action };
