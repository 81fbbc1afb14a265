//! 审计页的文案。
//!
//! Messages of the audit trail; words that other pages show as well are in `common`, and names of pages in `shell`.

crate::messages! {
    title: "Audit", "审计";
    hint: "Who changed what, and when", "谁在何时改了什么";

    filters: "Filters", "筛选";
    object: "Object", "对象";
    everything: "Everything", "全部";
    servers: "Servers", "服务器";
    keys: "Keys", "密钥";
    action: "Action", "操作";
    any_action: "Any action", "任意操作";
    action_create: "Created", "创建";
    action_update: "Changed", "修改";
    action_delete: "Deleted", "删除";
    action_reorder: "Reordered", "调整顺序";
    action_rotate: "Rotated", "轮换";
    actor: "Who", "操作者";
    actor_placeholder: "Anybody", "任何人";
    from: "From", "从";
    to: "To", "到";
    clear: "Clear filters", "清除筛选";
    only(what: &str): "Only changes of {what}", "仅显示 {what} 的变更";
    only_off: "Show all objects", "显示全部对象";

    empty_title: "Nothing was changed yet", "尚无变更";
    empty_hint: "Every change of a server, of their order and of a key will be listed here, with who made it.", "服务器、服务器顺序和密钥的每次变更，以及操作者，都会列在这里。";
    none_title: "No change fits these filters", "没有符合筛选条件的变更";
    older: "Older", "更早";
    newest: "Newest", "最新";
    at_end: "This is where the trail begins", "已到最早的记录";

    created_server(who: &str): "{who} created the server", "{who} 创建了服务器";
    changed_server(who: &str): "{who} changed the server", "{who} 修改了服务器";
    deleted_server(who: &str): "{who} deleted the server", "{who} 删除了服务器";
    created_key(who: &str): "{who} created the key", "{who} 创建了密钥";
    changed_key(who: &str): "{who} changed the key", "{who} 修改了密钥";
    deleted_key(who: &str): "{who} deleted the key", "{who} 删除了密钥";
    rotated_key(who: &str): "{who} rotated the key", "{who} 轮换了密钥";
    reordered(who: &str): "{who} changed the order of the servers", "{who} 调整了服务器的顺序";
    other(who: &str, action: &str): "{who}: {action}", "{who}：{action}";
    gone: "deleted since", "现已删除";
    same: "The same values were written again", "写入了相同的值";
    written: "was", "原为";
    became: "became", "改为";

    field_name: "Name", "名称";
    field_enabled: "Enabled", "启用";
    field_base_url: "Base URL", "基础 URL";
    field_api_key: "API key", "API 密钥";
    field_app: "App", "应用";
    field_models: "Models", "模型";
    field_expires_at: "Expires", "到期";
    field_grace: "Old secret works for", "旧凭据继续有效";
    field_rpm: "Requests per minute", "每分钟请求数";
    field_tpm: "Tokens per minute", "每分钟 token 数";
    field_concurrency: "At a time", "最大并发";
    field_queue_max: "Longest queue", "队列上限";
    field_queue_timeout: "Longest wait", "最长排队";
    field_on_full: "When full", "队列满时";
    field_overflow: "Overflow", "溢出";
    field_upstream_timeout: "Server timeout", "服务器超时";
    replaced: "replaced; never shown", "已更换，不会显示";
    any: "any", "任意";
    never: "never", "永不";
    unlimited: "unlimited", "不限";
    paused: "0 (paused)", "0（暂停）";
    at_once: "not at all", "立即失效";
    yes: "yes", "是";
    no: "no", "否";
}
