/**
 * A headless Chromium (Debian's package) driven by its DevTools protocol over Node's own WebSocket. A page remembers what went wrong in
 * it and what it asked the network for, so that a test can hold it to nothing of both.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import axe from 'axe-core';

const START_TIMEOUT_MS = 60_000;
const CALL_TIMEOUT_MS = 60_000;

type Fields = Readonly<Record<string, unknown>>;
type Listener = (method: string, parameters: Fields, sessionId: string | undefined) => void;

/** Calls and events of the protocol over one socket. */
class DevTools {
  readonly #socket: WebSocket;
  readonly #waiting = new Map<number, { resolve: (result: Fields) => void; reject: (error: Error) => void }>();
  readonly #listeners = new Set<Listener>();
  #lastId = 0;

  private constructor(socket: WebSocket) {
    this.#socket = socket;
    socket.addEventListener('message', ({ data }) => this.#receive(JSON.parse(String(data)) as Fields));
    socket.addEventListener('close', () => {
      for (const { reject } of this.#waiting.values()) reject(new Error('Chromium closed its socket'));
      this.#waiting.clear();
    });
  }

  static async connect(address: string): Promise<DevTools> {
    const socket = new WebSocket(address);
    await new Promise<void>((resolve, reject) => {
      socket.addEventListener('open', () => resolve(), { once: true });
      socket.addEventListener('error', () => reject(new Error('Chromium takes no connection')), { once: true });
    });
    return new DevTools(socket);
  }

  call(method: string, parameters: Fields = {}, sessionId?: string): Promise<Fields> {
    const id = ++this.#lastId;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`${method}: no answer`)), CALL_TIMEOUT_MS);
      const settle =
        <T>(then: (value: T) => void) =>
        (value: T) => {
          clearTimeout(timer);
          then(value);
        };
      this.#waiting.set(id, { resolve: settle(resolve), reject: settle(reject) });
      this.#socket.send(JSON.stringify({ id, method, params: parameters, ...(sessionId && { sessionId }) }));
    });
  }

  listen(listener: Listener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  close(): void {
    this.#socket.close();
  }

  #receive(message: Fields): void {
    if (typeof message['id'] === 'number') {
      const waiting = this.#waiting.get(message['id']);
      this.#waiting.delete(message['id']);
      const error = message['error'] as { message: string } | undefined;
      if (error) waiting?.reject(new Error(error.message));
      else waiting?.resolve((message['result'] ?? {}) as Fields);
      return;
    }
    for (const listener of Array.from(this.#listeners))
      listener(message['method'] as string, message['params'] as Fields, message['sessionId'] as string | undefined);
  }
}

export interface PageOptions {
  readonly theme?: 'light' | 'dark';
  readonly width?: number;
  readonly height?: number;
}

export interface Violation {
  readonly rule: string;
  readonly impact: string;
  readonly help: string;
  /** Selectors of what violates it. */
  readonly nodes: readonly string[];
}

/** One tab. */
export class BrowserPage implements AsyncDisposable {
  /** Errors and warnings of the console, exceptions, failed loads. */
  readonly complaints: string[] = [];
  /** Addresses that were asked for, but `file:` and `data:`. */
  readonly network: string[] = [];
  readonly #devTools: DevTools;
  readonly #session: string;
  readonly #target: string;
  readonly #stop: () => void;

  constructor(devTools: DevTools, target: string, session: string) {
    this.#devTools = devTools;
    this.#target = target;
    this.#session = session;
    this.#stop = devTools.listen((method, parameters, of) => {
      if (of === session) this.#note(method, parameters);
    });
  }

  call(method: string, parameters: Fields = {}): Promise<Fields> {
    return this.#devTools.call(method, parameters, this.#session);
  }

  /** Resolves when all that belongs to the page has been loaded. */
  async go(address: string): Promise<void> {
    const loaded = new Promise<void>((resolve) => {
      const stop = this.#devTools.listen((method, _, of) => {
        if (of !== this.#session || method !== 'Page.loadEventFired') return;
        stop();
        resolve();
      });
    });
    const { errorText } = await this.call('Page.navigate', { url: address });
    if (typeof errorText === 'string') throw new Error(`${address}: ${errorText}`);
    await loaded;
  }

  /** The value of an expression; promises are awaited. */
  async evaluate<T>(expression: string): Promise<T> {
    const answer = await this.call('Runtime.evaluate', { expression, awaitPromise: true, returnByValue: true });
    const wrong = answer['exceptionDetails'] as { exception?: { description?: string }; text: string } | undefined;
    if (wrong) throw new Error(wrong.exception?.description ?? wrong.text);
    return (answer['result'] as { value: T }).value;
  }

  /** What axe-core finds; all of its rules, also those that are only good practice. */
  async accessibility(): Promise<Violation[]> {
    await this.evaluate(`${axe.source};0`);
    return this.evaluate<Violation[]>(
      `axe.run({ preload: false }).then(({ violations }) => violations.map(({ id, impact, help, nodes }) =>
        ({ rule: id, impact, help, nodes: nodes.map(({ target }) => target.join(' ')) })))`,
    );
  }

  /** The whole page as a PNG file. */
  async screenshot(file: string): Promise<void> {
    const { data } = await this.call('Page.captureScreenshot', { captureBeyondViewport: true });
    writeFileSync(file, Buffer.from(data as string, 'base64'));
  }

  /** Pages of A4 paper that printing takes. */
  async printedPages(): Promise<number> {
    const { data } = await this.call('Page.printToPDF', { paperWidth: 8.27, paperHeight: 11.69 });
    const pdf = Buffer.from(data as string, 'base64').toString('latin1');
    return pdf.match(/\/Type\s*\/Page\b/g)?.length ?? 0;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop();
    await this.#devTools.call('Target.closeTarget', { targetId: this.#target });
  }

  #note(method: string, parameters: Fields): void {
    if (method === 'Network.requestWillBeSent') {
      const { url } = parameters['request'] as { url: string };
      if (!/^(file|data):/.test(url)) this.network.push(url);
    } else if (method === 'Network.loadingFailed')
      this.complaints.push(`loading failed: ${String(parameters['errorText'])}`);
    else if (method === 'Runtime.exceptionThrown') this.complaints.push(JSON.stringify(parameters['exceptionDetails']));
    else if (method === 'Runtime.consoleAPICalled' && /^(error|warning|assert)$/.test(String(parameters['type'])))
      this.complaints.push(JSON.stringify(parameters['args']));
    else if (method === 'Log.entryAdded') {
      const { level, text, url } = parameters['entry'] as { level: string; text: string; url?: string };
      if (level === 'error' || level === 'warning') this.complaints.push(`${text} ${url ?? ''}`);
    }
  }
}

export class Browser implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #profile: string;
  readonly #devTools: DevTools;

  private constructor(child: ChildProcess, profile: string, devTools: DevTools) {
    this.#child = child;
    this.#profile = profile;
    this.#devTools = devTools;
  }

  /** `path`: Chromium's. */
  static async start(path: string): Promise<Browser> {
    const profile = mkdtempSync(join(tmpdir(), 'forebay-browser-'));
    const flags = [
      '--headless=new',
      '--no-sandbox',
      '--disable-gpu',
      '--disable-dev-shm-usage',
      '--disable-background-networking',
      '--disable-component-update',
      '--no-first-run',
      '--hide-scrollbars',
      '--remote-debugging-port=0',
      `--user-data-dir=${profile}`,
      'about:blank',
    ];
    const child = spawn(path, flags, { stdio: ['ignore', 'ignore', 'pipe'], detached: true });
    try {
      return new Browser(child, profile, await DevTools.connect(await addressOf(child)));
    } catch (error) {
      await end(child, profile);
      throw error;
    }
  }

  async open(options: PageOptions = {}): Promise<BrowserPage> {
    const { targetId } = await this.#devTools.call('Target.createTarget', { url: 'about:blank' });
    const attached = await this.#devTools.call('Target.attachToTarget', { targetId, flatten: true });
    const page = new BrowserPage(this.#devTools, targetId as string, attached['sessionId'] as string);
    for (const domain of ['Page', 'Runtime', 'Network', 'Log']) await page.call(`${domain}.enable`);
    const { theme = 'light', width = 1280, height = 900 } = options;
    await page.call('Emulation.setEmulatedMedia', { features: [{ name: 'prefers-color-scheme', value: theme }] });
    await page.call('Emulation.setDeviceMetricsOverride', { width, height, deviceScaleFactor: 1, mobile: width < 600 });
    return page;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#devTools.close();
    await end(this.#child, this.#profile);
  }
}

async function addressOf(child: ChildProcess): Promise<string> {
  let said = '';
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const timer = setTimeout(() => reject(new Error(`Chromium did not start: ${said}`)), START_TIMEOUT_MS);
  child.stderr?.on('data', (data: Buffer) => {
    said = `${said}${data.toString()}`.slice(-10_000);
    const address = /DevTools listening on (ws:\S+)/.exec(said)?.[1];
    if (address !== undefined) resolve(address);
  });
  child.on('error', reject);
  child.on('exit', () => reject(new Error(`Chromium ended: ${said}`)));
  try {
    return await promise;
  } finally {
    clearTimeout(timer);
  }
}

/** Ends Chromium with all of its processes: they are a group of their own. */
async function end(child: ChildProcess, profile: string): Promise<void> {
  const ended = child.exitCode === null && child.signalCode === null ? once(child, 'exit') : undefined;
  try {
    if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
    await ended;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
  rmSync(profile, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
}
