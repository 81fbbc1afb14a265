//! 密钥页的文案。
//!
//! Messages of the page of gateway keys; words that other pages show as well are in `common`, and names of pages in `shell`.

crate::messages! {
    title: "Keys", "密钥";
    hint: "What applications authenticate with", "应用程序用来认证的凭据";
    create: "Create key", "创建密钥";
    search: "Search keys", "搜索密钥";
    search_hint: "Name, app, model or prefix", "名称、应用、模型或前缀";
    nothing_found(what: &str): "No key matches “{what}”", "没有与“{what}”匹配的密钥";
    count(number: &str): "{number} keys", "{number} 个密钥";
    only_loaded: "Only the keys loaded so far are searched", "仅在已加载的密钥中搜索";
    empty_title: "No keys yet", "还没有密钥";
    empty_hint: "A key lets an application send requests through the gateway. It can be bound to one app and to some models, and it can expire.", "应用程序凭密钥通过网关发送请求。密钥可以限定应用和模型，也可以设定到期时间。";
    empty_viewer: "An administrator can create one.", "管理员可以创建密钥。";

    name: "Name", "名称";
    app: "App", "应用";
    models: "Models", "模型";
    status: "Status", "状态";
    expires: "Expires", "到期";
    created: "Created", "创建时间";
    actions: "Actions", "操作";
    any_app: "Any app", "任意应用";
    any_model: "Any model", "任意模型";
    more_models(count: &str): "+{count}", "另 {count} 个";
    never: "Never", "永不";
    active: "Active", "有效";
    ending: "Ends soon", "即将到期";
    expired: "Expired", "已过期";
    disabled: "Disabled", "已停用";
    old_secret(when: &str): "Old secret ends {when}", "旧密钥{when}失效";
    actions_for(name: &str): "Actions for {name}", "{name} 的操作";

    edit: "Edit", "编辑";
    rotate: "Rotate secret…", "轮换密钥…";
    disable: "Disable", "停用";
    enable: "Enable", "启用";
    requests: "Show its requests", "查看它的请求";
    history: "Show its changes", "查看它的变更";
    delete: "Delete…", "删除…";
    was_disabled(name: &str): "{name} is disabled; it is refused everywhere within 5 s", "{name} 已停用，5 秒内在所有位置生效";
    was_enabled(name: &str): "{name} is enabled", "{name} 已启用";
    was_saved(name: &str): "{name} is saved", "{name} 已保存";
    was_deleted(name: &str): "{name} is deleted", "{name} 已删除";

    new_title: "Create a key", "创建密钥";
    edit_title(name: &str): "Edit {name}", "编辑 {name}";
    name_hint: "For people: which team or program uses it", "便于识别：哪个团队或程序在使用";
    name_missing: "Give it a name", "请填写名称";
    app_hint: "The only App-Name that may use the key. Empty: any.", "只有这个 App-Name 可以使用该密钥。留空表示任意。";
    models_hint: "The only models that the key may use; gpt-* means all that begin so. Empty: any.", "该密钥只能使用这些模型；gpt-* 表示以此开头的全部模型。留空表示任意。";
    models_placeholder: "Any model", "任意模型";
    suggestions: "Add a model of your servers", "添加服务器上的模型";
    expiry: "Expires", "到期时间";
    in_days(days: &str): "In {days} days", "{days} 天后";
    in_a_year: "In a year", "一年后";
    custom: "At a time of your choice", "自定义时间";
    ends_at(when: &str, relative: &str): "Refused from {when}, {relative}", "自 {when} 起（{relative}）不再接受";
    never_ends: "It works until somebody disables or deletes it", "在被停用或删除之前一直有效";
    custom_time: "Date and time", "日期和时间";
    time_missing: "Choose a date and a time", "请选择日期和时间";
    save_changes: "Save changes", "保存修改";
    unchanged: "Nothing was changed", "没有任何修改";
    not_saved: "The key was not saved", "密钥未保存";
    discard_title: "Discard your changes?", "放弃修改？";
    discard_hint: "What you changed in this key is not saved.", "对该密钥的修改尚未保存。";
    discard: "Discard", "放弃";
    go_on: "Go on editing", "继续编辑";

    secret_title(name: &str): "Secret of {name}", "{name} 的密钥";
    secret: "Secret", "密钥";
    secret_once: "Copy it now: it is shown this once", "请立即复制：只显示这一次";
    secret_once_hint: "The gateway keeps a digest only. If the secret is lost, rotate the key to get another.", "网关只保存摘要。如果丢失，请轮换以获得新的密钥。";
    secret_copied: "Copied. Keep it where your other secrets are.", "已复制，请与其他机密一同妥善保存。";
    copy_secret: "Copy secret", "复制密钥";
    use_it: "Use it", "使用方法";
    use_hint: "Ready to run against this gateway", "可直接对本网关运行";
    language: "Language", "语言";
    model: "Model", "模型";
    no_model: "No server lists a model that this key may use. Put in the name of yours.", "没有服务器提供该密钥可用的模型名称，请替换为您的模型。";
    app_note: "The key is for any app: put the name of yours in App-Name.", "该密钥适用于任意应用，请在 App-Name 中填写您的应用名称。";
    copy_code: "Copy code", "复制代码";
    done: "Done", "完成";
    leave_title: "Close without copying?", "未复制就关闭？";
    leave_hint: "The secret cannot be shown again. Without it the key is of no use until it is rotated.", "密钥无法再次显示。没有它，该密钥在轮换之前无法使用。";
    leave: "Close anyway", "仍要关闭";
    stay: "Back to the secret", "返回";

    rotate_title(name: &str): "Rotate {name}", "轮换 {name}";
    rotate_hint: "The key gets a new secret. Its name, app, models and usage stay.", "为该密钥生成新的凭据；名称、应用、模型和用量保持不变。";
    grace: "The old secret", "旧的凭据";
    grace_none: "Stops at once", "立即失效";
    grace_hour: "Works for another hour", "再有效 1 小时";
    grace_day: "Works for another day", "再有效 1 天";
    grace_week: "Works for another week", "再有效 7 天";
    grace_month: "Works for another 30 days", "再有效 30 天";
    grace_hint: "Time to give the new secret to whoever uses the key", "留出时间把新凭据交给使用者";
    grace_none_hint: "Whoever uses the old secret is refused within 5 s", "仍使用旧凭据的请求将在 5 秒内被拒绝";
    rotate_now: "Rotate", "轮换";
    delete_title(name: &str): "Delete {name}?", "删除 {name}？";
    delete_warning: "Applications that use this key are refused within 5 s. Its usage stays in the statistics. This cannot be undone; to stop it for a while, disable it.", "使用该密钥的应用将在 5 秒内被拒绝，用量统计会保留。此操作无法撤销；如只需暂停，请停用。";
}
