// One live room: the socket, joining and resuming, and what the page shows of it.
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { ClientFrameSchema, ControlSong_Action, ServerFrameSchema, Stage_State, type ChatMessage, type ClientFrame, type GiftShown, type ServerFrame, type Stage } from '../gen/ovation/v1/live_pb';
import type { SendGiftResponse, BoardRow } from '../gen/ovation/v1/gift_pb';
import type { Room } from '../gen/ovation/v1/room_pb';
import { accessToken, refresh } from './api.svelte';

export type Line = { id: string; kind: 'chat' | 'gift' | 'note'; name: string; text: string; userId: bigint; tag: string; giftId?: bigint; count?: number; earlier?: boolean };
export class Refusal extends Error {
  constructor(
    message: string,
    readonly reason: string,
  ) {
    super(message);
  }
}
const linesKept = 200;
const behindMs = 20_000;

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
  onGift: (g: GiftShown) => void = () => {};

  private socket: WebSocket | null = null;
  private epoch = '';
  private offset = 0n;
  private entrySeq = 0n;
  private requests = new Map<bigint, { done: (f: ServerFrame) => void; fail: (e: Error) => void }>();
  private nextRequest = 1n;
  private pinger = 0;
  private heardAt = 0;
  private gone = false;
  private stageAt = 0;
  private note = 0;

  constructor(readonly roomId: bigint) {
    this.connect();
    this.pinger = window.setInterval(() => this.ping(), 8_000);
  }
  leave() {
    this.gone = true;
    clearInterval(this.pinger);
    this.socket?.close();
  }

  // Where the song stands now, in samples: from the last word of the server, on by the clock while it plays.
  position(): number {
    const s = this.stage;
    if (!s) return 0;
    const run = s.state === Stage_State.PLAYING ? (performance.now() - this.stageAt) * 48 : 0;
    return Number(s.songPosition) + run;
  }

  private connect() {
    const socket = new WebSocket(`${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}/v1/live`, 'ovation.v1.proto');
    this.socket = socket;
    socket.binaryType = 'arraybuffer';
    socket.onopen = () => {
      this.heardAt = Date.now();
      this.send({ case: 'enter', value: { roomId: this.roomId, accessToken: accessToken(), noMedia: true, resume: this.epoch ? { epoch: this.epoch, offset: this.offset, entrySeq: this.entrySeq } : undefined } as never }, 0n);
    };
    socket.onmessage = (m) => {
      this.heardAt = Date.now();
      this.take(fromBinary(ServerFrameSchema, new Uint8Array(m.data as ArrayBuffer)));
    };
    socket.onclose = (e) => void this.lost(e.code, e.reason);
  }
  private async lost(code: number, reason: string) {
    for (const r of this.requests.values()) r.fail(new Refusal('', 'unknown'));
    this.requests.clear();
    if (this.gone) return;
    if (code === 4003 || code === 4009 || (code === 1008 && reason !== '')) {
      this.state = 'closed';
      this.closedBy = reason;
      return;
    }
    if (code === 4001 && !(await refresh()) && accessToken()) {
      this.state = 'closed';
      return;
    }
    this.state = 'reconnecting';
    this.attempt += 1;
    setTimeout(() => !this.gone && this.connect(), Math.min(8_000, 300 * 2 ** Math.min(this.attempt, 5)) * (0.7 + Math.random() * 0.6));
  }
  private ping() {
    if (this.socket?.readyState !== WebSocket.OPEN) return;
    if (Date.now() - this.heardAt > behindMs) return this.socket.close();
    this.send({ case: 'ping', value: { sentAtMs: BigInt(Date.now()) } as never }, 0n);
  }
  private send(command: ClientFrame['command'], requestId: bigint) {
    this.socket?.send(toBinary(ClientFrameSchema, create(ClientFrameSchema, { requestId, command: command as never })));
  }
  private ask(command: ClientFrame['command'], waitMs = 10_000): Promise<ServerFrame> {
    if (this.socket?.readyState !== WebSocket.OPEN || this.state !== 'live') return Promise.reject(new Refusal('', 'offline'));
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
    this.stage = s ?? null;
    this.stageAt = performance.now();
  }

  private take(f: ServerFrame) {
    if (f.requestId !== 0n) {
      const waiting = this.requests.get(f.requestId);
      this.requests.delete(f.requestId);
      if (waiting) {
        if (f.body.case === 'refused') waiting.fail(new Refusal(f.body.value.message, f.body.value.detail?.reason ?? ''));
        else waiting.done(f);
      }
    }
    if (f.offset > this.offset) this.offset = f.offset;
    const b = f.body;
    switch (b.case) {
      case 'welcome': {
        const w = b.value;
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
        if (w.balance) this.balance = w.balance.coins;
        this.state = 'live';
        this.attempt = 0;
        break;
      }
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
      case 'presence': this.listeners = b.value.listeners; break;
      case 'supporters': this.supporters = b.value.rows; break;
      case 'balance': this.balance = b.value.coins; break;
      case 'show': this.showOpen = b.value.open; break;
    }
  }

  async chat(text: string) {
    await this.ask({ case: 'sendChat', value: { text } as never });
  }
  async sendGift(key: string, giftId: bigint, quantity: number, priceVersion: number): Promise<SendGiftResponse> {
    const f = await this.ask({ case: 'sendGift', value: { key, roomId: this.roomId, giftId, quantity, priceVersion } as never });
    if (f.body.case !== 'giftSent') throw new Refusal('', 'unknown');
    this.balance = f.body.value.balanceCoins;
    return f.body.value;
  }
  takeStage = () => this.ask({ case: 'takeStage', value: {} as never });
  pickSong = (songId: bigint) => this.ask({ case: 'pickSong', value: { songId } as never });
  control = (action: ControlSong_Action, songPosition = 0n) => this.ask({ case: 'controlSong', value: { action, songPosition } as never });
}
export { Stage_State, ControlSong_Action };
