// Acts that must happen once although an answer may be lost.
import { Code, ConnectError } from '@connectrpc/connect';
import { session } from './api.svelte';
import { uuid7 } from './format';

const answers = [Code.InvalidArgument, Code.NotFound, Code.PermissionDenied, Code.FailedPrecondition, Code.Unauthenticated, Code.AlreadyExists, Code.OutOfRange];
const answered = (e: unknown) => answers.includes(ConnectError.from(e).code);
// Whether it is not known what came of it.
export const isLost = (e: unknown) => !answered(e) && ConnectError.from(e).code !== Code.ResourceExhausted;
// One key for each intention, kept until it is answered, over a reload too: asked again, it is the same act.
export async function once<T>(intention: string, act: (key: string) => Promise<T>): Promise<T> {
  const name = `key:${session.user?.id}:${intention}`;
  const key = sessionStorage.getItem(name) ?? uuid7(0);
  sessionStorage.setItem(name, key);
  try {
    const answer = await act(key);
    sessionStorage.removeItem(name);
    return answer;
  } catch (e) {
    if (answered(e)) sessionStorage.removeItem(name);
    throw e;
  }
}
