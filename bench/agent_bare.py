"""What a job's calls to AWS cost by themselves: `python -m bench.agent_bare QUEUE_URL TABLE BUCKET TOPIC_ARN`.

boto3 as it comes, one call after the other, for every job in the queue: receive, claim, picture, account, finish,
announce, delete. Prints the milliseconds of processor time of a job. A machine's speed is in them, so that an agent's
own figure from one machine can be held against that from another.
"""

import json
import sys
import time

import boto3

from bench.agent_run import GRAPH

_PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * (1_500_000 // 256)
_DOCUMENT = json.dumps({"input": GRAPH, "outputs": [{"key": "renders/x/1/ComfyUI_00001_.png"}]}).encode()
_CHANGE = "SET #status = :status, #agent = :agent, updated_at_ms = :now"


def main(queue_url: str, table: str, bucket: str, topic_arn: str) -> None:
    sqs, dynamodb, s3, sns = (boto3.client(name) for name in ("sqs", "dynamodb", "s3", "sns"))

    def change(job_id: str, status: str) -> None:
        dynamodb.update_item(
            TableName=table,
            Key={"id": {"S": job_id}},
            UpdateExpression=_CHANGE,
            ExpressionAttributeNames={"#status": "status", "#agent": "agent"},
            ExpressionAttributeValues={":status": {"S": status}, ":agent": {"S": "bare"}, ":now": {"N": "1"}},
            ReturnValues="ALL_NEW",
        )

    jobs, began_s = 0, time.process_time()
    while messages := sqs.receive_message(QueueUrl=queue_url, WaitTimeSeconds=0).get("Messages"):
        job_id = json.loads(messages[0]["Body"])["id"]
        change(job_id, "running")
        s3.put_object(Bucket=bucket, Key=f"renders/{job_id}/1/a.png", Body=_PICTURE, ContentType="image/png")
        s3.put_object(Bucket=bucket, Key=f"renders/{job_id}/1/result.json", Body=_DOCUMENT)
        change(job_id, "succeeded")
        sns.publish(TopicArn=topic_arn, Message=_DOCUMENT.decode())
        sqs.delete_message(QueueUrl=queue_url, ReceiptHandle=messages[0]["ReceiptHandle"])
        jobs += 1
    print(1000 * (time.process_time() - began_s) / jobs)


if __name__ == "__main__":
    main(*sys.argv[1:])
