// Two JavaScript clients against the real server: node e2e.mjs <url>. Prints what they got as one JSON object.
import { StringOutputParser } from '@langchain/core/output_parsers';
import { RemoteRunnable } from '@langchain/core/runnables/remote';

const url = process.argv[2];
const question = "What is Edwina Hawthorne's credit score?";
const said = {};

const remote = new RemoteRunnable({ url: `${url}/chat` });
said.invoke = (await remote.invoke(question)).content;
said.batch = (await remote.batch([question, question])).map((reply) => reply.content);
said.named = (await remote.invoke('Her credit score?', { configurable: { customer_id: 'EDW_HAWTHORNE_001' } })).content;
said.composed = await remote.pipe(new StringOutputParser()).invoke(question);
said.stream = '';
for await (const piece of await remote.stream(question)) said.stream += piece.content;
let state;
for await (const patch of remote.streamLog(question)) state = state === undefined ? patch : state.concat(patch);
said.stream_log = state.state.final_output.content;
for await (const event of remote.streamEvents(question, { version: 'v2' })) {
  if (event.event === 'on_chain_end') said.stream_events = event.data.output.content;
}

for (const name of ['openai', 'openai4']) {
  const { default: OpenAI } = await import(name);
  const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: 'null', maxRetries: 0 });
  const asked = { model: 'demo:simulated-1', messages: [{ role: 'user', content: question }] };
  const { data, response } = await client.chat.completions.create(asked).withResponse();
  const saw = { text: data.choices[0].message.content, cache: response.headers.get('x-tilores-cache') };
  saw.stream = '';
  for await (const chunk of await client.chat.completions.create({ ...asked, stream: true })) {
    saw.stream += chunk.choices[0]?.delta.content ?? '';
  }
  for await (const chunk of await client.chat.completions.create({
    ...asked,
    stream: true,
    stream_options: { include_usage: true },
  })) {
    saw.tokens = chunk.usage?.total_tokens ?? 0;
  }
  saw.models = [];
  for await (const model of await client.models.list()) saw.models.push((await client.models.retrieve(model.id)).id);
  saw.errors = [];
  for (const wrong of [{ ...asked, model: 'nobody:nothing' }, { ...asked, messages: [] }]) {
    await client.chat.completions.create(wrong).catch((error) => saw.errors.push(error.constructor.name));
  }
  said[name] = saw;
}

console.log(JSON.stringify(said));
