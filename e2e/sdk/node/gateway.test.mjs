// The official OpenAI client for Node through the gateway. Run by node_test.go,
// which starts the gateway and the simulated model and hands over their addresses.
import assert from 'node:assert/strict';
import { File } from 'node:buffer'; // global only since Node 20
import { beforeEach, test } from 'node:test';
import OpenAI from 'openai';

function need(name) {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set; run this through go test ./e2e/sdk`);
  return value;
}

const words = JSON.parse(need('FENGSUI_WORDS'));
const faultsURL = need('FENGSUI_FAULTS');
const at = (baseURL, apiKey) => new OpenAI({ baseURL, apiKey, maxRetries: 0, timeout: 20_000 });
const guarded = at(need('FENGSUI_GATEWAY'), need('FENGSUI_KEY'));
const open = at(need('FENGSUI_GATEWAY'), need('FENGSUI_OPEN_KEY'));
const upstream = at(need('FENGSUI_UPSTREAM'), need('FENGSUI_UPSTREAM_KEY'));

const MODEL = 'fengsui-sim-1';
const CUTS = [1, 2, 3, 7, 0, -1];
const stars = (s) => '*'.repeat([...s].length);

/** Sets what the model says (null: benign) and how many runes an event carries. */
async function model(text, chunk_runes = 0, fault = {}) {
  const faults = text === null ? [] : [{ name: 'scripted', text, ...fault }];
  const res = await fetch(faultsURL, { method: 'PUT', body: JSON.stringify({ faults, chunk_runes }) });
  assert.equal(res.status, 200, await res.text());
}

const request = (prompt, n = 1) => ({ model: MODEL, n, messages: [{ role: 'user', content: prompt }] });

/** Both ways give [{ text, finish }] by choice. */
const ways = {
  async whole(client, prompt, n) {
    const done = await client.chat.completions.create(request(prompt, n));
    return done.choices.map((c) => ({ text: c.message.content ?? '', finish: c.finish_reason }));
  },
  async streamed(client, prompt, n) {
    const choices = [];
    const stream = await client.chat.completions.create({ ...request(prompt, n), stream: true });
    for await (const chunk of stream) {
      for (const c of chunk.choices) {
        choices[c.index] ??= { text: '', finish: null };
        choices[c.index].text += c.delta.content ?? '';
        choices[c.index].finish = c.finish_reason ?? choices[c.index].finish;
      }
    }
    return choices;
  },
  /** The client's own accumulating helper, which checks the order of events. */
  async helper(client, prompt, n) {
    const done = await client.chat.completions.stream(request(prompt, n)).finalChatCompletion();
    return done.choices.map((c) => ({ text: c.message.content ?? '', finish: c.finish_reason }));
  },
};

beforeEach(() => model(null));

test('benign answers equal those of the upstream', async () => {
  for (const cut of CUTS) {
    await model(null, cut);
    for (const prompt of ['今天天气怎么样？', 'show me some python code', '随便聊聊 😀']) {
      for (const [way, ask] of Object.entries(ways)) {
        for (const n of [1, 3]) {
          const want = await ask(upstream, prompt, n);
          assert.equal(want.length, n);
          assert.deepEqual(await ask(guarded, prompt, n), want, `${way}, n=${n}, cut by ${cut}`);
        }
      }
    }
  }
});

test('a masked term or number leaks no symbol however the upstream cuts', async () => {
  const cases = [
    ['开头' + words.masked + '结尾', '开头' + stars(words.masked) + '结尾'],
    ['开头' + words.replaced + '结尾', '开头' + words.replacement + '结尾'],
    [`号码是 ${words.identity}，请查收。`, `号码是 ${stars(words.identity)}，请查收。`],
    ['卡号：' + words.card, '卡号：' + stars(words.card)],
  ];
  for (const [said, want] of cases) {
    for (const cut of CUTS) {
      await model(said, cut);
      for (const [way, ask] of Object.entries(ways)) {
        const where = `${way}, cut by ${cut}`;
        assert.deepEqual(await ask(guarded, '请说一句', 1), [{ text: want, finish: 'stop' }], where);
        // The negative control: with the rules emptied, the same comes through.
        assert.deepEqual(await ask(open, '请说一句', 1), [{ text: said, finish: 'stop' }], where);
      }
    }
  }
});

test('a blocked answer ends in a finish that the client parses', async () => {
  const head = '这是无害的开头。';
  const tail = '这是不该出现的后文。';
  for (const cut of CUTS) {
    await model(head + words.blocked + tail, cut);
    for (const [way, ask] of Object.entries(ways)) {
      const where = `${way}, cut by ${cut}`;
      const got = await ask(guarded, '请说一句', 2).catch((e) => blockedByHelper(way, e));
      assert.ok(got.length > 0, where);
      for (const choice of got) {
        assert.equal(choice.finish, 'content_filter', where);
        assert.ok(!choice.text.includes('违') && !choice.text.includes('后文'), `${where}: ${choice.text}`);
      }
      const bare = await ask(open, '请说一句', 1);
      assert.deepEqual(bare, [{ text: head + words.blocked + tail, finish: 'stop' }], where);
    }
  }
});

/** The helper itself may turn content_filter into its own typed error; nothing else may be thrown. */
function blockedByHelper(way, error) {
  assert.equal(way, 'helper', String(error));
  assert.ok(error instanceof OpenAI.ContentFilterFinishReasonError, String(error));
  return [{ text: '', finish: 'content_filter' }];
}

test('a blocked prompt ends in a finish that the client parses', async () => {
  for (const [way, ask] of Object.entries(ways)) {
    const got = await ask(guarded, '请解释' + words.blocked, 1).catch((e) => blockedByHelper(way, e));
    assert.equal(got[0].finish, 'content_filter', way);
    assert.equal((await ask(open, '请解释' + words.blocked, 1))[0].finish, 'stop', way);
  }
});

test('endpoints that are not inspected raise the typed error of the client', async () => {
  const calls = {
    embeddings: () => guarded.embeddings.create({ model: 'm', input: 'x' }),
    images: () => guarded.images.generate({ prompt: 'x' }),
    speech: () => guarded.audio.speech.create({ model: 'm', input: 'x', voice: 'alloy' }),
    transcriptions: () => guarded.audio.transcriptions.create({ model: 'm', file: new File(['x'], 'x.wav') }),
    responses: () => guarded.responses.create({ model: 'm', input: 'x' }),
    completions: () => guarded.completions.create({ model: 'm', prompt: 'x' }),
  };
  for (const [name, call] of Object.entries(calls)) {
    await assert.rejects(call, (e) => {
      assert.ok(e instanceof OpenAI.APIError, `${name}: ${e}`);
      assert.equal(e.code, words.refusedCode, name);
      assert.ok(e.status >= 400 && e.status < 500, name);
      return true;
    });
  }
});

test('a wrong key raises the authentication error of the client', async () => {
  const stranger = at(need('FENGSUI_GATEWAY'), 'fsk-0000000000000000000000000000000000000000000');
  await assert.rejects(() => ways.whole(stranger, 'hi', 1), OpenAI.AuthenticationError);
});
