-- Ways to pay beside the sandbox.
alter table payments.top_up drop constraint top_up_provider_check;
alter table payments.top_up add constraint top_up_provider_check check (provider in ('sandbox', 'stripe', 'wechat_pay', 'alipay'));
