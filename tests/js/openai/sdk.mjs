// The openai package of npm against a server: node sdk.mjs <package> <base url> <key>. Prints what it saw as JSON.
const [name, baseURL, apiKey] = process.argv.slice(2);
const { default: OpenAI } = await import(name);
const client = new OpenAI({ baseURL, apiKey, maxRetries: 0 });
const messages = [{ role: 'user', content: "What is Edwina Hawthorne's credit score?" }];
const tools = [{ type: 'function', function: { name: 'weather', parameters: { type: 'object' } } }];

async function collect(options) {
  const chunks = [];
  for await (const chunk of await client.chat.completions.create({ messages, stream: true, ...options })) {
    chunks.push(chunk);
  }
  return chunks;
}

async function failure(work) {
  try {
    await work();
  } catch (error) {
    return {
      kind: error.constructor.name,
      status: error.status ?? null,
      code: error.code ?? null,
      param: error.param ?? null,
      type: error.type ?? null,
      message: error.message,
      requestId: error.request_id ?? error.requestID ?? null,
    };
  }
  return null;
}

const done = await client.chat.completions.create({ model: 'demo:plain', messages, temperature: 0.2 });
const called = await client.chat.completions.create({ model: 'demo:tools', messages, tools });
const chunks = await collect({ model: 'demo:plain' });
const counted = await collect({ model: 'demo:plain', stream_options: { include_usage: true } });
const pieces = await collect({ model: 'demo:tools', tools });
const listed = [];
for await (const model of await client.models.list()) listed.push(model.id);
const retrieved = [];
for (const id of listed) retrieved.push((await client.models.retrieve(id)).id);

const failures = {};
for (const model of ['limited', 'full', 'provider-down', 'late', 'long', 'forbidden', 'nothing', 'bug', 'breaks']) {
  failures[model] = await failure(() => collect({ model: `demo:${model}` }));
}
failures.plain = await failure(() => client.chat.completions.create({ model: 'demo:limited', messages }));
failures.field = await failure(() => client.chat.completions.create({ model: 'demo:plain', messages: [{ role: 'user' }] }));
failures.key = await failure(() => new OpenAI({ baseURL, apiKey: 'wrong' }).models.list());
failures.route = await failure(() => client.embeddings.create({ model: 'demo:plain', input: 'x' }));

const stream = await client.chat.completions.create({ model: 'demo:endless', messages, stream: true });
for await (const chunk of stream) {
  if (chunk.choices[0].delta.content) break; // leaving the loop closes the connection
}

console.log(
  JSON.stringify({
    text: done.choices[0].message.content,
    requestId: done._request_id,
    usage: done.usage.total_tokens,
    finish: done.choices[0].finish_reason,
    call: called.choices[0].message.tool_calls,
    callFinish: called.choices[0].finish_reason,
    streamed: chunks.map((chunk) => chunk.choices[0].delta.content ?? '').join(''),
    streamedPieces: chunks.length,
    streamedFinish: chunks.map((chunk) => chunk.choices[0].finish_reason).filter(Boolean),
    heads: new Set(chunks.map((chunk) => `${chunk.id} ${chunk.created} ${chunk.model}`)).size,
    usageUnasked: chunks.filter((chunk) => chunk.usage).length,
    usageAsked: counted.filter((chunk) => chunk.usage).map((chunk) => [chunk.choices.length, chunk.usage.total_tokens]),
    pieces: pieces.flatMap((chunk) => chunk.choices[0].delta.tool_calls ?? []),
    listed,
    retrieved,
    failures,
  }),
);
