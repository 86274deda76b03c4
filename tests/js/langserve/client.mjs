// Drives the JavaScript RemoteRunnable against a server and prints what it got, as one JSON object.
import { AIMessage, HumanMessage, SystemMessage, ToolMessage } from "@langchain/core/messages";
import { StringOutputParser } from "@langchain/core/output_parsers";
import { ChatPromptTemplate, PromptTemplate } from "@langchain/core/prompts";
import { RemoteRunnable } from "@langchain/core/runnables/remote";

const url = process.argv[2];
const remote = new RemoteRunnable({ url });
const result = {};

async function failure(work) {
  try {
    await work();
    return null;
  } catch (error) {
    return error.message;
  }
}

const plain = await remote.invoke("hello");
result.invoke = [plain instanceof AIMessage, plain.content];

const history = [
  new SystemMessage("Be brief."),
  new AIMessage({
    content: "",
    additional_kwargs: {
      tool_calls: [{ id: "c1", type: "function", function: { name: "look_up", arguments: '{"city":"Leeds"}' } }],
    },
  }),
  new ToolMessage({ content: "rain", tool_call_id: "c1" }),
  new HumanMessage("hello"),
];
result.history = (await remote.invoke(history, { configurable: { customer_id: "C1", max_age: 5 } })).content;

const prompt = ChatPromptTemplate.fromMessages([["system", "Be brief."], ["human", "{word}"]]);
result.prompt = (await prompt.pipe(remote).invoke({ word: "hello" })).content;
result.text_prompt = (await PromptTemplate.fromTemplate("{word}").pipe(remote).invoke({ word: "hello" })).content;
result.parsed = await remote.pipe(new StringOutputParser()).invoke("hello");

result.batch = (await remote.batch(["a", "b"])).map((reply) => reply.content.slice(0, 11));
result.batch_configs = (
  await remote.batch(["a", "b"], [{ configurable: { customer_id: "C1" } }, { configurable: { customer_id: "C2" } }])
).length;

let whole;
let pieces = 0;
for await (const piece of await remote.stream("hello")) {
  whole = whole === undefined ? piece : whole.concat(piece);
  pieces += 1;
}
result.stream = [pieces > 3, whole.content];

let state;
for await (const patch of remote.streamLog("hello")) {
  state = state === undefined ? patch : state.concat(patch);
}
result.stream_log = [state.state.final_output.content, Object.keys(state.state.logs)];

const events = [];
for await (const event of remote.streamEvents("hello", { version: "v2" })) {
  events.push(event);
}
result.stream_events = [events[0].event, events.at(-1).event, events.at(-1).data.output.content];
result.stream_events_pieces = events
  .filter((event) => event.event === "on_chat_model_stream")
  .map((event) => event.data.chunk.content)
  .join("");

result.invalid = await failure(() => remote.invoke({ topic: "hello" }));
result.invalid_stream = await failure(async () => {
  for await (const _ of await remote.stream({ topic: "hello" }));
});
result.broken_stream = await failure(async () => {
  for await (const _ of await remote.stream("break"));
});

console.log(JSON.stringify(result));
