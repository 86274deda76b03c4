// Reads a stream as AnythingLLM does with the openai 4.95.1 that it pins: the answer is settled by the chunk that has
// a finish_reason, and nothing after it is read. node anythingllm.mjs <base url>
import OpenAI from 'openai4';

const [baseURL] = process.argv.slice(2);
const client = new OpenAI({
  baseURL,
  apiKey: 'null', // without a key its requests carry "Bearer null"
  maxRetries: 0,
  defaultHeaders: { 'User-Agent': 'AnythingLLM/1.16.0' },
});
const messages = [
  { role: 'system', content: 'Be brief.\nContext:\n[CONTEXT 0]:\nEdwina lives in Bath.\n[END CONTEXT 0]\n\n' },
  { role: 'user', content: 'Good day', attachments: [] },
  { role: 'assistant', content: 'Good day to you.', attachments: [] },
  {
    role: 'user',
    content: [
      { type: 'text', text: 'Who is this?' },
      { type: 'image_url', image_url: { url: 'data:image/png;base64,iVBORw0KGgo=', detail: 'high' } },
    ],
  },
];

async function chat(model, options = {}) {
  const stream = await client.chat.completions.create({
    model,
    stream: true,
    messages,
    temperature: 0.7,
    max_tokens: 1024,
    ...options,
  });
  let text = '';
  let usage = null;
  try {
    for await (const chunk of stream) {
      const choice = chunk?.choices?.[0];
      if (chunk.usage) usage = chunk.usage;
      if (choice?.delta?.content) text += choice.delta.content;
      if (choice && choice.finish_reason) return { text, usage, finish: choice.finish_reason };
    }
  } catch (error) {
    return { text, usage, failed: error.message };
  }
  return { text, usage, hangs: true };
}

async function refused(model) {
  try {
    await client.chat.completions.create({ model, messages });
  } catch (error) {
    return error.message;
  }
  return null;
}

const models = (await client.models.list()).data.map(({ id, owned_by }) => ({ id, organization: owned_by }));
const plain = await client.chat.completions.create({ model: 'demo:plain', messages, temperature: 0.7, max_tokens: 1024 });
console.log(
  JSON.stringify({
    models,
    plain: plain.choices[0].message.content,
    tokens: plain.usage.total_tokens,
    chat: await chat('demo:plain'),
    counted: await chat('demo:plain', { stream_options: { include_usage: true } }),
    empty: await chat('demo:empty'),
    hit: await chat('demo:vendor/large:free'),
    tools: await chat('demo:tools', { tools: [{ type: 'function', function: { name: 'weather' } }] }),
    breaks: await chat('demo:breaks'),
    refused: await refused('demo:provider-key'),
  }),
);
