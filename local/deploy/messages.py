"""Topics and their keys, queues, schedules, log groups, alarms."""

from typing import Any

from local.deploy.aws import Aws, Kind, Made, named
from local.deploy.inputs import Inputs, pascal, plain

_QUEUE_ATTRIBUTES = {
    "visibilityTimeoutSeconds": "VisibilityTimeout",
    "messageRetentionSeconds": "MessageRetentionPeriod",
    "receiveWaitTimeSeconds": "ReceiveMessageWaitTimeSeconds",
    "sqsManagedSseEnabled": "SqsManagedSseEnabled",
    "redrivePolicy": "RedrivePolicy",
}


def topic(aws: Aws, name: str, given: Inputs) -> Made:
    attributes = {"KmsMasterKeyId": given["kmsMasterKeyId"]} if "kmsMasterKeyId" in given else {}
    label = named(name, given)
    arn = aws.client("sns").create_topic(Name=label, Attributes=attributes)["TopicArn"]
    return arn, {"arn": arn, "name": label}


def key(aws: Aws, _name: str, given: Inputs) -> Made:
    kms = aws.client("kms")
    made = kms.create_key(Description=given["description"], Policy=given["policy"])["KeyMetadata"]
    if given.get("enableKeyRotation"):
        kms.enable_key_rotation(KeyId=made["KeyId"])
    return made["KeyId"], {"arn": made["Arn"], "keyId": made["KeyId"]}


def topic_policy(aws: Aws, _name: str, given: Inputs) -> Made:
    aws.client("sns").set_topic_attributes(
        TopicArn=given["arn"], AttributeName="Policy", AttributeValue=given["policy"]
    )
    return given["arn"], {}


def subscription(aws: Aws, _name: str, given: Inputs) -> Made:
    attributes = {"RawMessageDelivery": "true" if given.get("rawMessageDelivery") else "false"}
    if "filterPolicy" in given:
        attributes["FilterPolicy"] = given["filterPolicy"]
    arn = aws.client("sns").subscribe(
        TopicArn=given["topic"],
        Protocol=given["protocol"],
        Endpoint=given["endpoint"],
        Attributes=attributes,
        ReturnSubscriptionArn=True,
    )["SubscriptionArn"]
    return arn, {"arn": arn}


def queue(aws: Aws, name: str, given: Inputs) -> Made:
    attributes = {
        attribute: str(given[field]).lower() if isinstance(given[field], bool) else str(given[field])
        for field, attribute in _QUEUE_ATTRIBUTES.items()
        if field in given
    }
    label = named(name, given)
    url = aws.client("sqs").create_queue(QueueName=label, Attributes=attributes)["QueueUrl"]
    return url, {"url": url, "name": label, "arn": aws.arn("sqs", label)}


def redrive_allow_policy(aws: Aws, _name: str, given: Inputs) -> Made:
    return _queue_attribute(aws, given, "RedriveAllowPolicy", given["redriveAllowPolicy"])


def queue_policy(aws: Aws, _name: str, given: Inputs) -> Made:
    return _queue_attribute(aws, given, "Policy", given["policy"])


def _queue_attribute(aws: Aws, given: Inputs, attribute: str, value: str) -> Made:
    aws.client("sqs").set_queue_attributes(QueueUrl=given["queueUrl"], Attributes={attribute: value})
    return given["queueUrl"], {}


def rule(aws: Aws, name: str, given: Inputs) -> Made:
    label = named(name, given)
    arn = aws.client("events").put_rule(Name=label, ScheduleExpression=given["scheduleExpression"])["RuleArn"]
    return label, {"name": label, "arn": arn}


def target(aws: Aws, name: str, given: Inputs) -> Made:
    aws.client("events").put_targets(Rule=given["rule"], Targets=[{"Id": name, "Arn": given["arn"]}])
    return f"{given['rule']}-{name}", {"targetId": name}


def log_group(aws: Aws, name: str, given: Inputs) -> Made:
    label = named(name, given)
    client = aws.client("logs")
    client.create_log_group(logGroupName=label)
    if given.get("retentionInDays"):
        client.put_retention_policy(logGroupName=label, retentionInDays=given["retentionInDays"])
    return label, {"name": label, "arn": aws.arn("logs", f"log-group:{label}")}


def alarm(aws: Aws, name: str, given: Inputs) -> Made:
    label = named(name, given)
    watched = [_query(query) for query in given["metricQueries"]]
    aws.client("cloudwatch").put_metric_alarm(
        AlarmName=label,
        AlarmDescription=given["alarmDescription"],
        ComparisonOperator=given["comparisonOperator"],
        Threshold=given["threshold"],
        EvaluationPeriods=given["evaluationPeriods"],
        TreatMissingData=given["treatMissingData"],
        Metrics=watched,
        AlarmActions=given["alarmActions"],
        OKActions=given["okActions"],
    )
    return label, {"name": label, "arn": aws.arn("cloudwatch", f"alarm:{label}")}


def _query(given: Inputs) -> dict[str, Any]:
    """Of Pulumi's flat metric the nested one of the API; names of dimensions stay as they are."""
    query = {name[:1].upper() + name[1:]: pascal(given[name]) for name in given if name != "metric"}
    if metric := given.get("metric"):
        dimensions = [{"Name": name, "Value": value} for name, value in plain(metric["dimensions"]).items()]
        source = {"Namespace": metric["namespace"], "MetricName": metric["metricName"], "Dimensions": dimensions}
        query["MetricStat"] = {"Metric": source, "Period": metric["period"], "Stat": metric["stat"]}
    return query


def dashboard(aws: Aws, _name: str, given: Inputs) -> Made:
    aws.client("cloudwatch").put_dashboard(DashboardName=given["dashboardName"], DashboardBody=given["dashboardBody"])
    return given["dashboardName"], {}


KINDS: dict[str, Kind] = {
    "aws:kms/key:Key": key,
    "aws:sns/topic:Topic": topic,
    "aws:sns/topicPolicy:TopicPolicy": topic_policy,
    "aws:sns/topicSubscription:TopicSubscription": subscription,
    "aws:sqs/queue:Queue": queue,
    "aws:sqs/redriveAllowPolicy:RedriveAllowPolicy": redrive_allow_policy,
    "aws:sqs/queuePolicy:QueuePolicy": queue_policy,
    "aws:cloudwatch/eventRule:EventRule": rule,
    "aws:cloudwatch/eventTarget:EventTarget": target,
    "aws:cloudwatch/logGroup:LogGroup": log_group,
    "aws:cloudwatch/metricAlarm:MetricAlarm": alarm,
    "aws:cloudwatch/dashboard:Dashboard": dashboard,
}
