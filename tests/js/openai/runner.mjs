// The stream helper of the openai package puts tool calls and usage together by itself:
// node runner.mjs <package> <base url> <key>.
const [name, baseURL, apiKey] = process.argv.slice(2);
const { default: OpenAI } = await import(name);
const client = new OpenAI({ baseURL, apiKey, maxRetries: 0 });
const completions = client.chat.completions.stream ? client.chat.completions : client.beta.chat.completions;
const stream = completions.stream({
  model: 'demo:tools',
  messages: [{ role: 'user', content: 'hello' }],
  tools: [{ type: 'function', function: { name: 'weather', parameters: { type: 'object' } } }],
  stream_options: { include_usage: true },
});
const done = await stream.finalChatCompletion();
const { content, tool_calls } = done.choices[0].message;
const call = tool_calls[0];
console.log(
  JSON.stringify({
    content,
    calls: tool_calls.length,
    call: [call.id, call.type, call.function.name, call.function.arguments],
    finish: done.choices[0].finish_reason,
    usage: done.usage.total_tokens,
  }),
);
