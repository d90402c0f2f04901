// The AWS SDK for JavaScript against the server at ENDPOINT. It compares the MD5 of each body by itself.
import assert from "node:assert/strict";
import { test } from "node:test";
import * as sqs from "@aws-sdk/client-sqs";

const credentials = { accessKeyId: process.env.KEY, secretAccessKey: process.env.SECRET };
const options = { endpoint: process.env.ENDPOINT, region: "us-east-1", credentials, maxAttempts: 1 };
const client = new sqs.SQSClient(options);
const call = (name, input = {}) => client.send(new sqs[`${name}Command`](input));
const failed = (name) => (error) => error instanceof sqs[name];
let made = 0;

async function newQueue(attributes = {}, suffix = "") {
  made += 1;
  const input = { QueueName: `js-${process.pid}-${made}${suffix}`, Attributes: attributes, tags: { by: "js" } };
  return (await call("CreateQueue", input)).QueueUrl;
}

async function arn(QueueUrl) {
  const answer = await call("GetQueueAttributes", { QueueUrl, AttributeNames: ["QueueArn"] });
  return answer.Attributes.QueueArn;
}

async function receive(QueueUrl, more = {}) {
  return (await call("ReceiveMessage", { QueueUrl, MaxNumberOfMessages: 10, ...more })).Messages ?? [];
}

test("a message is sent, received with its attributes, and deleted", async () => {
  const QueueUrl = await newQueue();
  const MessageAttributes = {
    text: { DataType: "String", StringValue: "ünï" },
    bytes: { DataType: "Binary", BinaryValue: Uint8Array.of(0, 255) },
  };
  const sent = await call("SendMessage", { QueueUrl, MessageBody: "hello ☃", MessageAttributes });
  const everything = { MessageAttributeNames: ["All"], MessageSystemAttributeNames: ["All"] };
  const [message] = await receive(QueueUrl, everything);
  assert.equal(message.MessageId, sent.MessageId);
  assert.equal(message.Body, "hello ☃");
  assert.equal(message.MD5OfMessageAttributes, sent.MD5OfMessageAttributes);
  assert.equal(message.MessageAttributes.text.StringValue, "ünï");
  assert.deepEqual([...message.MessageAttributes.bytes.BinaryValue], [0, 255]);
  assert.equal(message.Attributes.ApproximateReceiveCount, "1");
  const { ReceiptHandle } = message;
  await call("ChangeMessageVisibility", { QueueUrl, ReceiptHandle, VisibilityTimeout: 0 });
  const [again] = await receive(QueueUrl);
  await call("DeleteMessage", { QueueUrl, ReceiptHandle: again.ReceiptHandle });
  assert.deepEqual(await receive(QueueUrl), []);
});

test("batches tell what failed", async () => {
  const QueueUrl = await newQueue();
  const Entries = [..."abcdefgh"].map((Id) => ({ Id, MessageBody: `body ${Id}` }));
  Entries.push({ Id: "bad", MessageBody: "m", DelaySeconds: 1000 });
  const sent = await call("SendMessageBatch", { QueueUrl, Entries });
  assert.deepEqual([sent.Successful.length, sent.Failed.map((one) => one.Id)], [8, ["bad"]]);
  const messages = await receive(QueueUrl);
  const handles = messages.map(({ ReceiptHandle }, n) => ({ Id: `${n}`, ReceiptHandle }));
  const hidden = handles.map((one) => ({ ...one, VisibilityTimeout: 60 }));
  const changed = await call("ChangeMessageVisibilityBatch", { QueueUrl, Entries: hidden });
  assert.equal(changed.Successful.length, 8);
  assert.equal((await call("DeleteMessageBatch", { QueueUrl, Entries: handles })).Successful.length, 8);
});

test("a long poll gets what is sent while it waits", async () => {
  const QueueUrl = await newQueue();
  const poll = receive(QueueUrl, { WaitTimeSeconds: 20 });
  await call("SendMessage", { QueueUrl, MessageBody: "wake up" });
  assert.deepEqual((await poll).map((one) => one.Body), ["wake up"]);
});

test("FIFO keeps its order and drops duplicates", async () => {
  const QueueUrl = await newQueue({ FifoQueue: "true", ContentBasedDeduplication: "true" }, ".fifo");
  const send = (MessageBody) => call("SendMessage", { QueueUrl, MessageBody, MessageGroupId: "g" });
  const first = await send("1");
  await send("2");
  const repeated = await send("1");
  assert.equal(repeated.MessageId, first.MessageId);
  assert.equal(repeated.SequenceNumber, first.SequenceNumber);
  const messages = await receive(QueueUrl, { ReceiveRequestAttemptId: "try" });
  assert.deepEqual(messages.map((one) => one.Body), ["1", "2"]);
});

test("dead letters are moved away and back", async () => {
  const dead = await newQueue();
  const deadLetterTargetArn = await arn(dead);
  const QueueUrl = await newQueue({ RedrivePolicy: JSON.stringify({ deadLetterTargetArn, maxReceiveCount: 1 }) });
  await call("SendMessage", { QueueUrl, MessageBody: "poison" });
  await receive(QueueUrl, { VisibilityTimeout: 0 });
  assert.deepEqual(await receive(QueueUrl), []);
  assert.deepEqual((await call("ListDeadLetterSourceQueues", { QueueUrl: dead })).queueUrls, [QueueUrl]);
  await call("StartMessageMoveTask", { SourceArn: deadLetterTargetArn });
  assert.deepEqual((await receive(QueueUrl, { WaitTimeSeconds: 10 })).map((one) => one.Body), ["poison"]);
  const { Results } = await call("ListMessageMoveTasks", { SourceArn: deadLetterTargetArn });
  assert.equal(Results.length, 1);
  await assert.rejects(call("CancelMessageMoveTask", { TaskHandle: "eA==" }), failed("SQSServiceException"));
});

test("queues are listed, described, tagged, shared, purged and deleted", async () => {
  const QueueUrl = await newQueue();
  const QueueName = QueueUrl.split("/").at(-1);
  assert.equal((await call("GetQueueUrl", { QueueName })).QueueUrl, QueueUrl);
  const pages = [];
  const pagination = { client, pageSize: 2 };
  for await (const page of sqs.paginateListQueues(pagination, { QueueNamePrefix: `js-${process.pid}-` })) {
    pages.push(...page.QueueUrls);
  }
  assert.ok(pages.includes(QueueUrl) && pages.length === made, `${pages}`);
  await call("SetQueueAttributes", { QueueUrl, Attributes: { DelaySeconds: "2" } });
  const all = await call("GetQueueAttributes", { QueueUrl, AttributeNames: ["All"] });
  assert.equal(all.Attributes.DelaySeconds, "2");
  await call("TagQueue", { QueueUrl, Tags: { a: "b" } });
  await call("UntagQueue", { QueueUrl, TagKeys: ["by"] });
  assert.deepEqual((await call("ListQueueTags", { QueueUrl })).Tags, { a: "b" });
  const permission = { QueueUrl, Label: "l", AWSAccountIds: ["444455556666"], Actions: ["SendMessage"] };
  await call("AddPermission", permission);
  await call("RemovePermission", { QueueUrl, Label: "l" });
  await call("PurgeQueue", { QueueUrl });
  await assert.rejects(call("PurgeQueue", { QueueUrl }), failed("PurgeQueueInProgress"));
  await call("DeleteQueue", { QueueUrl });
  await assert.rejects(call("GetQueueUrl", { QueueName }), failed("QueueDoesNotExist"));
});

test("errors are the SDK's classes", async () => {
  const QueueUrl = await newQueue();
  const send = (more) => call("SendMessage", { QueueUrl, MessageBody: "m", ...more });
  await assert.rejects(send({ QueueUrl: `${QueueUrl}x` }), failed("QueueDoesNotExist"));
  await assert.rejects(send({ MessageBody: "\u0001" }), failed("InvalidMessageContents"));
  await assert.rejects(call("DeleteMessage", { QueueUrl, ReceiptHandle: "x" }), failed("ReceiptHandleIsInvalid"));
  await assert.rejects(call("SendMessageBatch", { QueueUrl, Entries: [] }), failed("EmptyBatchRequest"));
  await assert.rejects(send({ DelaySeconds: 901 }), (error) => error.name === "InvalidParameterValue");
  const forger = new sqs.SQSClient({ ...options, credentials: { ...credentials, secretAccessKey: "wrong" } });
  await assert.rejects(forger.send(new sqs.ListQueuesCommand({})), (error) => error.$metadata.httpStatusCode === 403);
});
