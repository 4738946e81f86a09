// The room's socket, off the main thread: media goes from here straight to the player's worklet, and from the microphone's
// worklet straight to the wire, whatever the page is doing. Everything else is handed to the page.
import { chooseDecoder } from './decode';
import { Listener } from './listen';
import { readMedia } from './media';
import type { Captured, FromWorker, ToPlayer, ToWorker } from './messages';
import type { Publisher } from './publish';

let socket: WebSocket | null = null;
let player: MessagePort | null = null;
let publisher: Publisher | null = null;
let onAir = false;
const tell = (m: FromWorker, move: Transferable[] = []) => postMessage(m, { transfer: move });
const listener = new Listener((m: ToPlayer, move: Transferable[] = []) => player?.postMessage(m, move), (m) => tell(m));
const decoder = chooseDecoder();
let order: Promise<unknown> = decoder;

// A media frame carries no request id and no offset: its first byte is the tag of the field `media` (16, length-delimited).
const isMedia = (b: Uint8Array) => b[0] === 0x82 && b[1] === 0x01;

function open(url: string) {
  socket?.close();
  const made = new WebSocket(url, 'ovation.v1.proto');
  socket = made;
  made.binaryType = 'arraybuffer';
  made.onopen = () => made === socket && tell({ t: 'opened' });
  made.onmessage = (e) => {
    if (made !== socket) return;
    const bytes = new Uint8Array(e.data as ArrayBuffer);
    if (!isMedia(bytes)) return tell({ t: 'frame', bytes }, [bytes.buffer]);
    if (!player) return;
    const media = readMedia(bytes);
    if (media) order = order.then(() => listener.take(media));
  };
  made.onclose = (e) => made === socket && tell({ t: 'closed', code: e.code, reason: e.reason });
}

onmessage = (e: MessageEvent<ToWorker>) => {
  const m = e.data;
  switch (m.t) {
    case 'open': return open(m.url);
    case 'send':
      if (socket?.readyState === WebSocket.OPEN) socket.send(m.bytes as never);
      return;
    case 'close': return socket?.close();
    case 'player':
      player = m.port;
      listener.restart();
      void decoder.then((words) => tell({ t: 'codec', words }));
      return;
    case 'restart': return listener.restart();
    case 'on_air':
      onAir = m.on;
      if (publisher) publisher.onAir = m.on;
      return;
    case 'microphone':
      publisher?.close();
      publisher = null;
      if (!m.port) return;
      void import('./publish').then(({ Publisher }) => {
        const made = new Publisher(m.bits, (bytes) => socket?.readyState === WebSocket.OPEN && socket.send(bytes as never), (x) => tell(x));
        made.onAir = onAir;
        publisher = made;
        m.port!.onmessage = (f: MessageEvent<Captured>) => made.take(f.data);
      });
  }
};
