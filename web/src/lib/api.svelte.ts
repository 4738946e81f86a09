// RPC clients over connect-web, and who is logged in. Tokens refresh themselves once.
import { Code, ConnectError, createClient, type Interceptor } from '@connectrpc/connect';
import { createConnectTransport } from '@connectrpc/connect-web';
import { ErrorDetailSchema, Role } from '../gen/ovation/v1/access_pb';
import { AuthService, type LogInResponse, type User } from '../gen/ovation/v1/auth_pb';
import { GiftService } from '../gen/ovation/v1/gift_pb';
import { RoomService } from '../gen/ovation/v1/room_pb';
import { SongService } from '../gen/ovation/v1/song_pb';
import { language, t } from './i18n.svelte';

// A log-in is the browser's: its tabs share it here.
type Tokens = { access: string; refresh: string; user: string };
const stored = (): Tokens | null => JSON.parse(localStorage.getItem('session') ?? 'null') as Tokens | null;
let tokens = stored();
export const session = $state<{ user: User | null; asked: boolean }>({ user: null, asked: false });
export const accessToken = () => tokens?.access ?? '';

function keep(r: LogInResponse | null) {
  tokens = r ? { access: r.accessToken, refresh: r.refreshToken, user: String(r.user?.id) } : null;
  if (tokens) localStorage.setItem('session', JSON.stringify(tokens));
  else localStorage.removeItem('session');
  show(r?.user ?? null);
}
// The same person stays the same object: what follows who is logged in does not begin anew.
function show(user: User | null) {
  if (user && session.user?.id === user.id) Object.assign(session.user, user);
  else session.user = user;
}
// What another tab has kept.
function adopt() {
  const before = tokens?.user;
  tokens = stored();
  if (tokens?.user === before) return;
  session.user = null;
  void whoAmI();
}
addEventListener('storage', (e) => (e.key === 'session' || e.key === null) && adopt());

// Whether there are tokens newer than the access token that was refused. A refresh token is spent once: tabs take turns, and whoever
// comes later takes what the first one got. Only the server's own word ends a log-in, not a lost answer.
async function swap(refused: string): Promise<boolean> {
  if (stored()?.access !== tokens?.access) adopt();
  if (!tokens || tokens.access !== refused) return tokens !== null;
  const held = tokens.refresh;
  try {
    keep(await plain.refresh({ refreshToken: held }));
    return true;
  } catch (e) {
    const { code } = ConnectError.from(e);
    if ((code === Code.Unauthenticated || code === Code.PermissionDenied) && stored()?.refresh === held) keep(null);
    return false;
  }
}
let refreshing: Promise<boolean> | null = null;
export function refresh(refused: string): Promise<boolean> {
  const locks = navigator.locks as LockManager | undefined; // none on a plain http page
  refreshing ??= (locks ? locks.request('refresh', () => swap(refused)) : swap(refused)).finally(() => (refreshing = null));
  return refreshing;
}
const withToken: Interceptor = (next) => async (request) => {
  const used = accessToken();
  if (used && request.service.typeName + request.method.name !== 'ovation.v1.AuthServiceRefresh') request.header.set('Authorization', `Bearer ${used}`);
  try {
    return await next(request);
  } catch (e) {
    if (!(e instanceof ConnectError) || e.code !== Code.Unauthenticated || !request.header.has('Authorization')) throw e;
    if (!(await refresh(used))) {
      request.header.delete('Authorization');
      throw e;
    }
    request.header.set('Authorization', `Bearer ${accessToken()}`);
    return next(request);
  }
};
export const transport = createConnectTransport({ baseUrl: location.origin, useBinaryFormat: true, interceptors: [withToken] });
const plain = createClient(AuthService, createConnectTransport({ baseUrl: location.origin, useBinaryFormat: true }));
export const auth = createClient(AuthService, transport);
export const rooms = createClient(RoomService, transport);
export const songs = createClient(SongService, transport);
export const giftApi = createClient(GiftService, transport);

async function whoAmI() {
  if (!tokens) return;
  try {
    show((await auth.getMe({})).user ?? null);
  } catch {
    // an expired log-in: the visitor is a guest
  }
}
export async function start() {
  await whoAmI();
  session.asked = true;
}
export async function logIn(handle: string, password: string) {
  keep(await plain.logIn({ handle, password }));
}
export async function register(handle: string, displayName: string, password: string) {
  keep(await plain.register({ handle, displayName, password }));
}
export async function logOut() {
  try {
    await auth.logOut({});
  } finally {
    keep(null);
  }
}
export const has = (role: Role) => session.user?.roles.includes(role) ?? false;
export { Role };

// Sentences for reasons come behind the page, or when the first one is needed.
let refusals = $state.raw<Record<string, readonly [string, string | null]>>({});
const loadRefusals = () => import('./refusals').then((m) => void (refusals = m.refusals), () => undefined);
const behindMs = 3_000;
setTimeout(() => void loadRefusals(), behindMs);
// In the reader's language; `text`: the server's own sentence.
export function sentence(reason: string, text: string): string {
  const known = refusals[reason];
  if (!known) {
    if (reason) void loadRefusals();
    return text || t('offline_page');
  }
  const named = language.now === 'zh' && reason === 'invalid_argument' && text ? `${known[0]}（${text}）` : null;
  return named ?? (language.now === 'zh' ? known[0] : (known[1] ?? text));
}
// The sentence for what went wrong, its stable reason, and the field that it is about.
export function problem(e: unknown): { text: string; reason: string; field: string; retryable: boolean } {
  const c = ConnectError.from(e);
  const detail = c.findDetails(ErrorDetailSchema)[0];
  const offline = !detail && (c.code === Code.Unavailable || c.code === Code.Unknown);
  return { text: offline ? t('offline_page') : sentence(detail?.reason ?? '', c.rawMessage), reason: detail?.reason ?? (offline ? 'offline' : ''), field: detail?.field ?? '', retryable: detail?.retryable ?? true };
}
